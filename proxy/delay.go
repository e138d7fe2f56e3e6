package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// delay makes the logins of a user wait.
type delay struct {
	until   time.Time
	changed chan struct{} // closed when it is over early, or another one holds
}

// Delay makes logins of a user wait until a moment, as while his mailbox moves;
// a moment that has passed ends it. They are mapped afterwards. The user is
// named as he logs in or as he is mapped; in any spelling (mapping.NormalName).
// Mail for him, over SMTP and LMTP, does not wait: it is not available. No
// login waits longer than Sessions.MaxWait.
//
// A name that is nobody's is ignored. Delays take memory until they are over.
func (s *Sessions) Delay(user string, until time.Time) {
	name, ok := mapping.NormalName(user)
	if s == nil || !ok {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.delays[name]; old != nil {
		close(old.changed)
		delete(s.delays, name)
	}
	if !until.After(now) {
		return
	}
	if s.delays == nil {
		s.delays = make(map[string]*delay)
	}
	if len(s.delays) >= s.sweepAt {
		s.sweep(now)
		s.sweepAt = 2*len(s.delays) + 64
	}
	s.delays[name] = &delay{until: until, changed: make(chan struct{})}
}

// sweep forgets the delays that are over.
func (s *Sessions) sweep(now time.Time) {
	for name, d := range s.delays {
		if !d.until.After(now) {
			delete(s.delays, name)
		}
	}
}

// Delays returns until when logins of which users wait.
func (s *Sessions) Delays() map[string]time.Time {
	all := make(map[string]time.Time)
	if s == nil {
		return all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	for name, d := range s.delays {
		all[name] = d.until
	}
	return all
}

// delayed returns the delay of a user; nil: none. s is locked.
func (s *Sessions) delayed(name string) *delay {
	d := s.delays[name]
	if d != nil && !d.until.After(time.Now()) {
		return nil
	}
	return d
}

// undelayed waits until the logins of a user wait no more.
func (s *Sessions) undelayed(ctx context.Context, v *visit, name string) error {
	for {
		s.mu.Lock()
		d := s.delayed(name)
		s.mu.Unlock()
		switch {
		case d == nil:
			return nil
		case !hasSessions(v.client.Protocol):
			return fmt.Errorf("%w: the user is being moved", ErrUnavailable)
		}
		if err := s.wait(ctx, v, d.changed, d.until); err != nil {
			return err
		}
	}
}

// wait waits for a channel to be closed, and until a moment at most; the zero
// moment never comes. Only so many logins may wait, and only so long.
func (s *Sessions) wait(ctx context.Context, v *visit, done <-chan struct{}, until time.Time) error {
	if !s.beginWait() {
		return fmt.Errorf("%w: too many logins wait already", ErrUnavailable)
	}
	defer s.endWait()
	end := v.patience
	if !until.IsZero() && until.Before(end) {
		end = until
	}
	t := time.NewTimer(time.Until(end))
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-t.C:
	}
	if !time.Now().Before(v.patience) {
		return fmt.Errorf("%w: the user is being moved for too long", ErrUnavailable)
	}
	return nil
}

func (s *Sessions) beginWait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= s.maxWaiting() {
		return false
	}
	s.waiting++
	return true
}

func (s *Sessions) endWait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}
