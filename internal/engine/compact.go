package engine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	compactBatch  = 64      // bodies that move in one go
	compactOctets = 1 << 20 // octets of them at most, but for the last
)

// move is a body on its way to the current segment.
type move struct {
	id   BlobID
	from blob
}

// Compact gives space back at once, as the engine does by and by in the
// background: of the segments that are not written any more it takes the one
// whose greatest part is dead, if that is worth it, and moves its live bodies
// to the current segment. The segment is removed when the index has been
// flushed past the move and its last reader is gone. Compact returns the octets
// that are given back by that, 0 when no segment is worth it: call it until
// then to work off everything. A body that can't be read stays where it is, and
// the segment with it; the error is an ErrDamaged then.
func (e *Engine) Compact(ctx context.Context) (freed int64, err error) {
	return e.compact(ctx, func(context.Context, dead, time.Duration) error { return nil })
}

// pause is called after each batch of moves, which took so long.
type pause func(ctx context.Context, d dead, took time.Duration) error

func (e *Engine) compact(ctx context.Context, rest pause) (freed int64, err error) {
	select {
	case e.compacting <- struct{}{}:
		defer func() { <-e.compacting }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	d, ok := e.mostDead()
	if !ok {
		return 0, nil
	}
	err = e.empty(ctx, d, rest)
	if errors.Is(err, ErrDamaged) {
		e.stuck[d.number] = true
	}
	if err != nil {
		return 0, err
	}
	e.janitor.flush()
	return d.acc.size - d.acc.live, nil
}

// empty moves all bodies out of a segment. It goes on after damage, and
// returns it.
func (e *Engine) empty(ctx context.Context, d dead, rest pause) error {
	s, err := e.openSurvivors(d.number)
	if err != nil {
		return err
	}
	defer s.close()
	var failed error
	for {
		begin := time.Now()
		batch, err := s.next(ctx)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		if err := e.moveAll(ctx, batch); errors.Is(err, ErrDamaged) {
			failed = err
		} else if err != nil {
			return err
		}
		if err := rest(ctx, d, time.Since(begin)); err != nil {
			return err
		}
	}
	if failed == nil && e.accounts.get(d.number).bodies > 0 {
		failed = s.damage()
	}
	return failed
}

// moveAll moves bodies, sharing syncs. It goes on after damage.
func (e *Engine) moveAll(ctx context.Context, batch []move) error {
	var g errgroup.Group
	for i := range batch {
		g.Go(func() error { return e.moveOne(ctx, &batch[i]) })
	}
	return g.Wait()
}

func (e *Engine) moveOne(ctx context.Context, m *move) error {
	body, err := e.Open(m.id)
	if errors.Is(err, ErrNoBlob) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	r := e.requests.Get().(*request)
	r.move = m
	if err := e.preparer.prepare(ctx, body, &r.body); err != nil {
		return err
	}
	if err := e.submit(ctx, r); err != nil {
		if errors.Is(err, errMoved) {
			return nil
		}
		return err
	}
	e.counters.moves.Add(1)
	e.counters.moved.Add(uint64(m.from.size))
	return nil
}
