package imap

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// gate is how clients are let in: the same for a Server and a Proxy, which
// differ in what is behind it. One is made by each call of Serve, and it does
// not change.
type gate struct {
	behind interior

	hostname  string
	sasl      auth.Policy
	tls       *tls.Config
	plainAuth func(netip.Addr) bool
	fronts    func(netip.Addr) bool
	caps      []string // before login, beside those of TLS and SASL
	id        map[string]string
	limits    Limits // with their defaults
	timeouts  Timeouts
	logger    *slog.Logger
}

// interior is what is behind a gate: accounts, or back ends.
type interior interface {
	// authenticator returns who checks what a session's client shows.
	authenticator(s *session) auth.Authenticator
	// enter lets in who has proved to be id by what he has shown, and returns
	// what the tagged OK says.
	enter(ctx context.Context, s *session, a *asked, id auth.Identity) (result, error)
}

// serve runs a session from greeting to close. Its frame, and those of the
// functions that wait for the client, stay small: a waiting session's stack
// is the larger part of what it costs.
func (g *gate) serve(ctx context.Context, c *wire.Conn) {
	if link := g.converse(ctx, c); link != nil {
		g.handOver(ctx, link, c)
	}
}

// converse returns the way to a back end that goes on with the client; nil:
// nobody does.
func (g *gate) converse(ctx context.Context, c *wire.Conn) *proxy.Link {
	n := g.newSession(c)
	defer n.close()
	if err := c.Handshake(ctx); err != nil {
		n.log(ctx, slog.LevelDebug, "TLS handshake failed", err)
		return nil
	}
	n.greet()
	n.farewell(ctx, n.commands(ctx))
	return n.leave()
}

// handOver lets octets move until the client or the back end ends. Nothing of
// the session stays.
func (g *gate) handOver(ctx context.Context, link *proxy.Link, c *wire.Conn) {
	link.HandOver(ctx, c, func(err error) {
		if err != nil {
			g.logger.LogAttrs(ctx, slog.LevelDebug, "relay ended", slog.String("session", link.Client().Session), slog.String("err", err.Error()))
		}
	})
}

func orDefaultLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
