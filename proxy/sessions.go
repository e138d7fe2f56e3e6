package proxy

import (
	"context"
	"iter"
	"net/netip"
	"time"
)

// Sessions knows who is connected through a front end. The zero value is ready.
type Sessions struct{}

// Session is a client's session that was logged in.
type Session struct {
	ID       string // as in the logs
	User     string // as he was mapped
	Protocol Protocol
	Host     string // of his back end
	Remote   netip.Addr
	Since    time.Time
}

// List yields the sessions of this moment, in no order.
func (s *Sessions) List() iter.Seq[Session] {
	return func(yield func(Session) bool) {}
}

// Kick ends the sessions that fit, spread evenly over a time, and returns how
// many there were. It waits for the last, or for ctx.
func (s *Sessions) Kick(ctx context.Context, fits func(Session) bool, over time.Duration) (int, error) {
	return 0, ctx.Err()
}

// Delay makes logins of a user wait until a moment, as while his mailbox moves;
// a moment that has passed ends it. They are mapped afterwards.
func (s *Sessions) Delay(user string, until time.Time) {}
