package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// slots count the connections to each host. The zero value is ready. A host
// without connections is forgotten.
type slots struct {
	mu     sync.Mutex
	byHost map[string]*slot
}

type slot struct {
	open, limit int             // limit: as of the latest that asked
	waiting     []chan struct{} // for a place, the first one first; closed when it is theirs
}

// enter takes a place among limit connections to a host (0: no limit), for
// which it waits if need be. ErrUnavailable when there is none in time.
// Call release once.
func (s *slots) enter(ctx context.Context, host string, limit int, wait time.Duration) (release func(), err error) {
	turn := s.ask(host, limit)
	release = func() { s.leave(host) }
	if turn == nil {
		return release, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-turn:
		return release, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("all %d connections to %s are in use", limit, host)
	}
	if !s.giveUp(host, turn) {
		s.leave(host) // it came at the same moment
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// ask takes a place, or returns what to wait for.
func (s *slots) ask(host string, limit int) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byHost == nil {
		s.byHost = make(map[string]*slot)
	}
	h := s.byHost[host]
	if h == nil {
		h = &slot{}
		s.byHost[host] = h
	}
	h.limit = limit
	if !h.full() && len(h.waiting) == 0 {
		h.open++
		return nil
	}
	turn := make(chan struct{})
	h.waiting = append(h.waiting, turn)
	h.serve()
	return turn
}

// giveUp takes who waits out of the queue; false when the place is his already.
func (s *slots) giveUp(host string, turn chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.byHost[host]
	for i, w := range h.waiting {
		if w == turn {
			h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
			return true
		}
	}
	return false
}

func (s *slots) leave(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.byHost[host]
	h.open--
	h.serve()
	if h.open == 0 && len(h.waiting) == 0 {
		delete(s.byHost, host)
	}
}

func (h *slot) full() bool { return h.limit > 0 && h.open >= h.limit }

// serve gives free places to who waits.
func (h *slot) serve() {
	for len(h.waiting) > 0 && !h.full() {
		close(h.waiting[0])
		h.waiting = h.waiting[1:]
		h.open++
	}
}
