package mapping

import (
	"context"
	"errors"
	"fmt"
)

// flight is a question that was put to the source, with all who wait for the
// answer.
type flight struct {
	c      *Cache
	s      *shard
	name   string
	cancel context.CancelFunc

	waiting int  // who waits; under the shard's lock
	ongoing bool // it goes on when nobody does; likewise

	done  chan struct{} // closed when there is an answer
	route Route
	err   error
}

// ask puts a question, whatever is being asked of the user at this moment. The
// shard is locked.
func (c *Cache) ask(ctx context.Context, s *shard, name string) *flight {
	// The first caller's context ends with his connection, the others' go on.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Timeout)
	f := &flight{c: c, s: s, name: name, cancel: cancel, done: make(chan struct{}), err: errNoAnswer}
	s.flights[name] = f
	go f.run(ctx)
	return f
}

// errNoAnswer is what a flight ends with whose source never returned.
var errNoAnswer = fmt.Errorf("%w: no answer", ErrUnavailable)

// run runs in a goroutine of its own, where nobody else would recover.
func (f *flight) run(ctx context.Context) {
	defer f.cancel()
	defer close(f.done)
	defer f.land(ctx)
	defer func() {
		if v := recover(); v != nil {
			f.route, f.err = Route{}, fmt.Errorf("%w: panic: %v", ErrUnavailable, v)
		}
	}()
	r, err := f.c.next.Map(ctx, f.name)
	if err != nil {
		r, err = Route{}, ofKind(err)
	}
	f.route, f.err = r, err
}

// land has the answer remembered, unless the user was forgotten or is asked
// about anew since, or nobody waited for it.
func (f *flight) land(ctx context.Context) {
	f.s.mu.Lock()
	current := f.s.flights[f.name] == f
	if current {
		delete(f.s.flights, f.name)
		f.c.remember(f.s, f.name, f.route, f.err)
	}
	f.s.mu.Unlock()
	if current && f.err != nil && !errors.Is(f.err, ErrNotMapped) {
		f.c.tell(ctx, f.name, f.err)
	}
}

// wait returns the answer.
func (f *flight) wait(ctx context.Context) (Route, error) {
	select {
	case <-f.done:
		return f.route, f.err
	default:
	}
	select {
	case <-f.done:
		return f.route, f.err
	case <-ctx.Done():
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 && !f.ongoing {
		if f.s.flights[f.name] == f {
			delete(f.s.flights, f.name)
		}
		f.cancel()
	}
	return Route{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
}

// goOn lets somebody go who does not wait any longer but wants the answer to
// be remembered.
func (f *flight) goOn() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.waiting--
	f.ongoing = true
}
