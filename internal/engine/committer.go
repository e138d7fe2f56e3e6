package engine

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
)

const (
	groupChanges = 512      // changes in a group at most
	groupBodies  = 8 << 20  // octets of bodies after which no more requests are taken
	groupOctets  = 16 << 20 // octets of log after which a group is full
)

// request is a change on its way.
type request struct {
	change *Change
	body   prepared
	move   *move // nil, or the body is not new but moves
	state  atomic.Uint32
	err    error
	begun  bool // Build has been called, and neither Undo nor Done yet
	done   chan struct{}
}

// isNew reports whether the request brings a new body.
func (r *request) isNew() bool { return r.body.there && r.move == nil }

// States of a request. It leaves waiting exactly once.
const (
	waiting = iota
	taken
	withdrawn
)

// Commit makes one change and returns when it is durable and applied, or
// refused with nothing of it written. ctx counts only until the change's turn
// comes: after that Commit returns with the change's real outcome.
// It must not be called from Build or Done.
func (e *Engine) Commit(ctx context.Context, c *Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := e.requests.Get().(*request)
	r.change = c
	if c.Body != nil {
		if err := e.preparer.prepare(ctx, c.Body, &r.body); err != nil {
			return err
		}
	}
	return e.submit(ctx, r)
}

// undo tells the caller that a change that was begun is not made.
func (r *request) undo() {
	if r.begun && r.change.Undo != nil {
		r.change.Undo()
	}
	r.begun = false
}

// submit hands a request over and waits for its outcome. r must not be used
// afterwards.
func (e *Engine) submit(ctx context.Context, r *request) error {
	if err := e.inbox.put(r); err != nil {
		e.preparer.release(&r.body)
		return err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, withdrawn) {
			e.preparer.release(&r.body) // the inbox still holds r, but nobody will look at it
			return ctx.Err()
		}
		<-r.done
	}
	err := r.err
	e.preparer.release(&r.body)
	*r = request{done: r.done}
	e.requests.Put(r)
	return err
}

// run is the committer.
func (e *Engine) run() {
	defer close(e.stopped)
	var group []*request
	for {
		var ok bool
		// Those whom the last group has just released come back in one moment:
		// let them in before the next group closes its door.
		runtime.Gosched()
		group, ok = e.inbox.take(group[:0])
		switch {
		case !ok:
			return
		case len(group) == 0:
			<-e.inbox.signal
			continue
		}
		e.commitGroup(group)
		clear(group)
	}
}

// commitGroup makes changes, in as few groups as their size allows, and tells
// who waits.
func (e *Engine) commitGroup(requests []*request) {
	for len(requests) > 0 {
		n, err := e.tryGroup(requests)
		if err != nil {
			for _, r := range slices.Backward(requests[:n]) {
				r.undo()
			}
		}
		for _, r := range requests[:n] {
			e.settle(r, err)
		}
		for _, r := range requests[:n] {
			r.done <- struct{}{}
		}
		requests = requests[n:]
	}
}

// settle ends a request whose group ended with err.
func (e *Engine) settle(r *request, err error) {
	if r.err == nil {
		r.err = err
	}
	if r.err != nil {
		e.counters.refused.Add(1)
		return
	}
	e.counters.changes.Add(1)
	if r.isNew() && e.full.Load() {
		e.full.Store(false)
	}
	if r.change != nil && r.change.Done != nil {
		r.change.Done()
	}
}

// tryGroup makes a group of the first n requests. It fills in each request's
// own error and returns that of the group.
func (e *Engine) tryGroup(requests []*request) (n int, err error) {
	if err := e.failure.get(); err != nil {
		return len(requests), err
	}
	if err := e.roll(requests[0].body.size); err != nil {
		return len(requests), e.refuse(err)
	}
	low := e.space.low()
	g := e.newGroup()
	defer g.stage.close()
	for n < len(requests) && g.w.off-g.start < groupOctets {
		r := requests[n]
		full := r.isNew() && (low || !g.hasRoom(r.body.size))
		if full && n > 0 && !low && e.space.somewhere(r.body.size) {
			break // the next group begins there
		}
		n++
		if full {
			r.err = e.refuseBody()
			continue
		}
		if r.err = g.add(r); g.err != nil {
			return len(requests), e.refuse(g.err)
		}
	}
	if g.accepted == 0 {
		return n, nil
	}
	if err := g.commit(); err != nil {
		return n, e.refuse(err)
	}
	e.counters.groups.Add(1)
	e.counters.written.Add(uint64(g.w.off - g.start))
	return n, nil
}
