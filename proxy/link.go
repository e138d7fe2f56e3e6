package proxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/splice"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Link is a connection to a back end. A protocol's proxy reads the greeting
// and logs in on Conn, all within Backend.Connect, and then calls Relay, or
// LoggedIn where it goes on talking itself.
type Link struct {
	*wire.Conn // what is said to the back end; Flush it

	user    string
	route   mapping.Route
	address string // where it leads in its protocol
	backend Backend
	client  Client
	nc      net.Conn // below Conn and its TLS layer
	attempt *attempt
	budget  *time.Timer // closes the connection when the login takes too long
	release func()      // gives the place among Backend.Connections back
	once    sync.Once
	seat    *seat           // among Sessions; nil: it has none
	passed  []mapping.Route // that have referred to this one
	endedBy splice.Party    // of a relay
}

// Route returns where the link leads, with the TLS mode that holds.
func (l *Link) Route() mapping.Route { return l.route }

// Backend returns how the back end is reached, with its defaults.
func (l *Link) Backend() Backend { return l.backend }

// Client returns who is at the other end.
func (l *Link) Client() Client { return l.client }

// User returns the name to log in with: the route's, or else the one that
// Reach was asked about.
func (l *Link) User() string {
	if l.route.User != "" {
		return l.route.User
	}
	return l.user
}

// Hops returns how many more proxies may come after the back end: what it is to
// be told, 1 at least.
func (l *Link) Hops() int { return l.client.hops() - 1 }

// StartTLS secures the link, after the protocol has agreed on it, and verifies
// the back end. An error wraps ErrUnavailable, and the link is closed then. So
// it is when octets have come before the handshake: somebody may have put them
// there.
func (l *Link) StartTLS(ctx context.Context) error {
	err := l.Conn.StartTLSClient(ctx, l.backend.tlsConfig(l.route.Host))
	if err == nil {
		return nil
	}
	l.attempt.failed(l.stage(), err)
	l.Close()
	return fmt.Errorf("%w: TLS with %s: %w", ErrUnavailable, l.route.Host, err)
}

// Failed notes that the back end failed after the connection was made, in a
// greeting or a login that broke off; not that it refused a login: a link that
// is closed without Failed tells that the back end is well. It counts once,
// and not after LoggedIn, nor when the session was kicked.
func (l *Link) Failed(err error) {
	if !l.seat.wasKicked() {
		l.attempt.failed(afterIdentity, err)
	}
}

// LoggedIn notes that the back end serves the client: Backend.Connect bounds
// the link no more. Relay does this too. Call it after the login, or whatever
// comes first in a protocol without one.
func (l *Link) LoggedIn() {
	l.stopBudget()
	l.attempt.loggedIn()
}

// Close closes the connection and gives back what was counted for it. It may be
// called more than once, from any goroutine.
func (l *Link) Close() error {
	l.once.Do(func() {
		l.stopBudget()
		l.attempt.end()
		if l.release != nil {
			l.release()
		}
	})
	return l.nc.Close()
}

func (l *Link) stopBudget() {
	if l.budget != nil {
		l.budget.Stop()
	}
}

// expire ends a login that took too long.
func (l *Link) expire() {
	l.Failed(errSlowLogin)
	l.nc.Close()
}
