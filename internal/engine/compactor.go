package engine

import (
	"context"
	"errors"
	"math"
	"time"
)

// What the background compaction keeps to. A segment costs its live octets in
// writes and gives back its dead ones, so the one with the greatest dead share
// comes first, and no more are emptied than the whole log needs: at a dead
// share of a fifth the disk holds 1.25 octets for each that is alive.
const (
	compactTotal  = 0.20 // dead share of all segments together from which the worst one is emptied
	compactAlways = 0.50 // dead share of a segment that is emptied in any case
	compactFull   = 0.05 // the same, while mail is refused because there is no space

	compactRest   = 3    // the rests take so many times as long as the work,
	compactCalm   = 0.30 // ever less from this dead share of all
	compactUrgent = 0.50 // up to this one, and no time at all from there on

	compactSettle = time.Second // from the first change that leaves something dead to the next look
)

// compactor empties segments in the background. It works in batches, each of
// which costs the others at most one group of a megabyte. While other changes
// are made too, it rests after each batch in proportion to what the batch took,
// and so takes a bounded share of the disk whatever the disk's speed is.
type compactor struct {
	signal chan struct{} // has room for one
	ctx    context.Context
	stop   context.CancelFunc
	done   chan struct{}
	others uint64 // changes, but for moves, when it looked last
}

func newCompactor() *compactor {
	c := &compactor{signal: make(chan struct{}, 1), done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// wake makes the compactor look whether there is something to do.
func (c *compactor) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// end stops the compactor, in the middle of a segment if need be.
func (c *compactor) end() {
	c.stop()
	<-c.done
}

// keepCompact is the compactor's work.
func (e *Engine) keepCompact() {
	c := e.compactor
	defer close(c.done)
	if e.options.NoCompaction {
		return
	}
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.signal:
		}
		if sleep(c.ctx, e.options.settle) != nil {
			return
		}
		for e.compactMore(c.ctx) {
		}
	}
}

// compactMore empties a segment, and reports whether there may be another.
func (e *Engine) compactMore(ctx context.Context) bool {
	freed, err := e.compact(ctx, e.rest)
	switch {
	case ctx.Err() != nil || errors.Is(err, ErrClosed):
		return false
	case errors.Is(err, ErrDamaged):
		e.log.Error("mail segment could not be compacted; what can't be read stays in it", "error", err)
		return true
	case err != nil:
		e.log.Warn("mail segment could not be compacted yet", "error", err)
		return false
	}
	return freed > 0
}

// rest waits after a batch.
func (e *Engine) rest(ctx context.Context, d dead, took time.Duration) error {
	others := e.counters.changes.Load() - e.counters.moves.Load()
	busy := others != e.compactor.others
	e.compactor.others = others
	if !busy || e.full.Load() {
		return ctx.Err()
	}
	calm := (compactUrgent - d.share) / (compactUrgent - compactCalm)
	return sleep(ctx, time.Duration(float64(took)*compactRest*min(1, max(0, calm))))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// dead is a segment to empty.
type dead struct {
	number uint32
	acc    account
	share  float64 // dead share of all segments together
}

// mostDead picks the segment that is to be emptied next. ok is false when none
// is worth it.
func (e *Engine) mostDead() (d dead, ok bool) {
	room := e.roomForMoves()
	var size, gain, worst float64
	numbers := e.accounts.numbers()
	for _, n := range numbers[:max(0, len(numbers)-1)] {
		a := e.accounts.get(n)
		if a.bodies == 0 || a.live > room || e.stuck[n] || e.files.readOnly(n) {
			continue
		}
		size += float64(a.size)
		gain += float64(a.gain())
		if share := float64(a.gain()) / float64(a.size); share > worst {
			d, worst = dead{number: n, acc: a}, share
		}
	}
	if worst == 0 {
		return d, false
	}
	d.share = gain / size
	return d, d.share >= compactTotal || worst >= compactAlways || e.full.Load() && worst >= compactFull
}

// gain is how many octets less the log has when what lives in a segment has
// moved.
func (a account) gain() int64 { return a.size - a.live - a.bodies*(recordHead+blobOpLen) }

// roomForMoves is how many octets may move: at most half of what is reserved
// is used for that, so that enough is left for changes without a body.
func (e *Engine) roomForMoves() int64 {
	if e.options.Reserve < 0 {
		return math.MaxInt64
	}
	room := int64(0)
	for _, l := range e.files.locations {
		if l.readOnly {
			continue
		}
		usage, err := e.fs.GetDiskUsage(l.dir)
		if err != nil {
			return math.MaxInt64
		}
		room = max(room, int64(min(usage.AvailBytes, math.MaxInt64))-e.options.Reserve/2)
	}
	return room
}
