package proxy

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// ErrKicked is why Relay ended when the session was kicked.
var ErrKicked = errors.New("session was kicked")

// Conflict says what becomes of a login whose user has sessions on another
// back end than the one to which he is mapped now.
type Conflict int

// What may become of it.
const (
	KickOld Conflict = iota // those sessions are kicked, and the login waits until they have ended
	WaitOld                 // the login waits until they have ended by themselves
)

// Sessions knows who is connected through a front end, and keeps each user on
// one back end: from before he is logged in there until the back end has ended
// the connection, a login that leads elsewhere waits. The zero value is ready;
// nil knows nobody. Set its fields before its first use.
//
// IMAP, POP3, submission and ManageSieve have sessions. SMTP and LMTP, which
// speak for no user, are not listed, kicked or kept apart: mail that a back end
// is taking when its user moves may still arrive there.
//
// A session takes some 250 octets.
type Sessions struct {
	Conflict   Conflict      // of a login with sessions elsewhere
	MaxWait    time.Duration // how long a login waits at most, for the end of a Delay or of sessions elsewhere; 0: 35 seconds, which clients bear
	MaxWaiting int           // logins that wait at the same time; 0: 1,000
	Farewell   time.Duration // how long a back end has to end a connection that was ended here, before it is cut; 0: 2 seconds

	// Account names the user whose sessions belong together; nil: the route's
	// User, or else the name of the login. It is needed where routes to
	// different back ends have the same User for different people.
	Account func(user string, r mapping.Route) string

	mu       sync.Mutex
	accounts map[string]*account
	seats    int // of all of them
	delays   map[string]*delay
	sweepAt  int // how many delays there are before the old are looked for
	waiting  int // logins
}

// Session is a client's session on a back end.
type Session struct {
	ID       string   // as in the logs
	User     string   // as he was mapped, in normal form
	Protocol Protocol //
	Host     string   // of his back end
	Remote   netip.Addr
	Since    time.Time
}

// account is a user with sessions, all of them on one host.
type account struct {
	name, host string
	seats      []*seat
	closing    bool          // all seats were kicked, and no more are given away
	free       chan struct{} // closed when the last seat is free; nil: nobody waits for that
}

// List yields the sessions of this moment, in no order.
func (s *Sessions) List() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, k := range s.taken() {
			if k.connected && !yield(k.seat.session()) {
				return
			}
		}
	}
}

// Kick ends the sessions that fit, spread evenly over a time, and returns how
// many there were. It waits until the back ends have ended the last, or for
// ctx. A login that is on its way to a back end counts, and begins anew: it
// waits for a Delay, and is mapped again. Sessions that come later stay.
func (s *Sessions) Kick(ctx context.Context, fits func(Session) bool, over time.Duration) (int, error) {
	all := s.taken()
	n := 0
	for _, k := range all {
		if fits(k.seat.session()) {
			all[n] = k
			n++
		}
	}
	all = all[:n]
	start := time.Now()
	for i, k := range all {
		at := start.Add(time.Duration(float64(over) * float64(i) / float64(n)))
		if err := sleepUntil(ctx, at); err != nil {
			return n, err
		}
		k.seat.kick()
	}
	for _, k := range all {
		select {
		case <-k.seat.left():
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
	return n, ctx.Err()
}

// occupied is a seat as it was seen.
type occupied struct {
	seat      *seat
	connected bool
}

// session makes up a Session from what does not change.
func (k *seat) session() Session {
	return Session{
		ID: k.id, User: k.account.name, Protocol: k.protocol, Host: k.account.host, Remote: k.remote, Since: time.Unix(0, k.since),
	}
}

// taken copies all seats at one moment.
func (s *Sessions) taken() []occupied {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]occupied, 0, s.seats)
	for _, a := range s.accounts {
		for _, k := range a.seats {
			all = append(all, occupied{k, k.Conn != nil})
		}
	}
	return all
}

func (s *Sessions) maxWait() time.Duration  { return cmp.Or(s.MaxWait, 35*time.Second) }
func (s *Sessions) maxWaiting() int         { return cmp.Or(s.MaxWaiting, 1000) }
func (s *Sessions) farewell() time.Duration { return cmp.Or(s.Farewell, 2*time.Second) }

// sleepUntil waits for a moment, or for ctx.
func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
