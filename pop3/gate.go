package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// gate is how clients are let in: the same for a Server and a Proxy, which
// differ in what is behind it. One is made by each call of Serve, and it does
// not change.
type gate struct {
	behind interior

	hostname, greeting string
	sasl               auth.Policy
	tls                *tls.Config
	plainAuth          func(netip.Addr) bool
	fronts             func(netip.Addr) bool
	caps               []string // in CAPA at every moment
	limits             Limits   // with their defaults
	timeouts           Timeouts
	logger             *slog.Logger
}

// interior is what is behind a gate: maildrops, or back ends.
type interior interface {
	// authenticator returns who checks what a session's client shows.
	authenticator(n *session) auth.Authenticator
	// enter lets in who has proved to be id by what he has shown, and answers
	// the client, or returns why not.
	enter(ctx context.Context, n *session, id auth.Identity) error
}

// serve runs a session from its greeting to its end.
func (g *gate) serve(ctx context.Context, c *wire.Conn) {
	if link := g.converse(ctx, c); link != nil {
		g.handOver(ctx, link, c) // the session is no more
	}
}

// converse returns the link to a back end that goes on with the client; nil:
// nobody does.
func (g *gate) converse(ctx context.Context, c *wire.Conn) *proxy.Link {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := front.NewTold(c, g.fronts)
	n := &session{
		gate: g, conn: c, limits: g.limits, id: told.ID(), told: told,
		guard: front.Guard{Max: g.limits.AuthFailures, Delay: g.timeouts.AuthDelay},
	}
	defer n.leave(ctx)
	if err := c.Handshake(ctx); err != nil {
		n.log(ctx, slog.LevelDebug, "TLS handshake failed", "err", err)
		return nil
	}
	n.greet()
	n.first(ctx)
	for !n.over {
		n.step(ctx)
	}
	link := n.link
	if link == nil {
		n.leave(ctx) // before the client can know that it is over
	}
	if c.Flush() == nil {
		n.link = nil
		return link
	}
	return nil
}

// handOver lets octets move until the client or the back end ends, once the
// session's goroutine has ended.
func (g *gate) handOver(ctx context.Context, link *proxy.Link, c *wire.Conn) {
	link.HandOver(ctx, c, func(err error) { link.LogEnd(ctx, g.logger, err) })
}

func orDefaultLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
