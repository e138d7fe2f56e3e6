package ldap

import (
	"context"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// fail marks the server as down, unless it went down and recovered since the
// question was put.
func (s *server) fail(epoch int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch && s.up {
		s.end(err)
		s.verdict = make(chan struct{})
		s.probe()
	}
}

// doubt has the server probed while it is asked on.
func (s *server) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe()
}

// end ends being up. The lock is held.
func (s *server) end(err error) {
	s.up, s.since, s.last = false, time.Now(), err
	s.epoch++
	close(s.gone)
	for _, p := range s.pools {
		s.c.inBackground(p.drop)
	}
}

// probe begins to probe the server unless that is going on. The lock is held.
func (s *server) probe() {
	if s.probing {
		return
	}
	s.probing = s.c.inBackground(s.probeUntilUp)
}

// probeUntilUp tries the server at once, since a single question may have
// failed for reasons of its own; then ever less often, up to Config.Retry.
func (s *server) probeUntilUp() {
	wait := s.c.c.Retry / 8
	for !s.judge(s.try()) {
		select {
		case <-s.c.ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, s.c.c.Retry)
	}
}

// judge takes the result of a probe, and reports whether the server is up.
func (s *server) judge(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdict != nil {
		defer close(s.verdict)
		s.verdict = nil
	}
	if err != nil {
		if s.last = err; s.up {
			s.end(err)
		}
		return false
	}
	if !s.up {
		s.up, s.since, s.gone = true, time.Now(), make(chan struct{})
	}
	s.probing = false
	return true
}

// try does what each login does: it connects, binds, and reads the base.
func (s *server) try() error {
	base := s.c.complete(Query{Scope: Base, Filter: anything, Attributes: noAttributes, Limit: 1})
	q := &question{to: searches, what: "search of ", about: base.Base, deadline: time.Now().Add(s.c.c.Timeout)}
	q.put = func(l *ldap.Conn) error {
		_, err := s.c.searchOn(l, base)
		return err
	}
	c, err := s.c.dial(context.Background(), s.at, q.deadline, q.to)
	if err != nil {
		return err
	}
	defer c.close()
	if err = s.failure(q, c.put(s.c.ctx, q.deadline, s.c.c.MaxAnswer, q.put)); isOutage(err) {
		return err
	}
	return nil
}
