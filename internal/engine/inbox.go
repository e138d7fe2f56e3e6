package engine

import "sync"

// inbox is where requests wait for the committer.
type inbox struct {
	mu     sync.Mutex
	queue  []*request
	closed bool
	signal chan struct{} // has room for one
}

func (b *inbox) put(r *request) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.queue = append(b.queue, r)
	first := len(b.queue) == 1
	b.mu.Unlock()
	if first {
		b.wake()
	}
	return nil
}

func (b *inbox) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// close lets no more requests in.
func (b *inbox) close() (first bool) {
	b.mu.Lock()
	first, b.closed = !b.closed, true
	b.mu.Unlock()
	b.wake()
	return first
}

// take moves the next group's requests to into. ok is false when there are
// none and there never will be.
func (b *inbox) take(into []*request) (group []*request, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, octets := 0, int64(0)
	for n < len(b.queue) && len(into) < groupChanges && octets < groupBodies {
		r := b.queue[n]
		n++
		if r.state.CompareAndSwap(waiting, taken) {
			into = append(into, r)
			octets += r.body.size
		}
	}
	rest := copy(b.queue, b.queue[n:])
	clear(b.queue[rest:])
	b.queue = b.queue[:rest]
	return into, len(into) > 0 || rest > 0 || !b.closed
}
