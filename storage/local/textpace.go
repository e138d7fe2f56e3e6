package local

import (
	"context"
	"time"
)

const (
	// textStretch is how long the worker works before it pauses: for as long
	// again, or when mail comes for so much longer that it takes a fiftieth of one
	// processor.
	textStretch = 2 * time.Millisecond
	textYield   = 49

	// textBusy is how many changes of the store in a second are mail coming.
	textBusy = 20
)

// textPacer makes who works on the index pause, or end.
type textPacer struct {
	ctx   context.Context
	until time.Time // for a search, which does not pause: when it is to end

	t       *texts // the worker's, so below
	b       *textBox
	worked  time.Time // since then
	counted time.Time // since when changes are counted
	changes uint64    // of the store, then
}

// begin begins the worker's work.
func (p *textPacer) begin() {
	p.worked = time.Now()
	p.counted, p.changes = p.worked, p.t.changes.Load()
}

// over reports whether no further message should be begun.
func (p *textPacer) over() bool { return !p.until.IsZero() && time.Now().After(p.until) }

// pause is called between small pieces of work.
func (p *textPacer) pause() error {
	if err := p.ctx.Err(); err != nil || p.t == nil {
		return err
	}
	now := time.Now()
	work := now.Sub(p.worked)
	if work < textStretch {
		return nil
	}
	changes := p.t.changes.Load()
	busy := float64(changes-p.changes) > textBusy*now.Sub(p.counted).Seconds()
	p.counted, p.changes = now, changes
	p.worked = now
	switch {
	case p.b.waiting.Load() > 0: // somebody wants to search there now
		return nil
	case busy:
		work *= textYield
	}
	err := sleep(p.ctx, work)
	p.worked = time.Now()
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
