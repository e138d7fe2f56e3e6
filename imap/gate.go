package imap

import (
	"context"
	"crypto/tls"
	"fmt"
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
	pass      Pass   // of a Proxy
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

// serve runs a session from its greeting on.
func (g *gate) serve(ctx context.Context, c *wire.Conn) {
	n := g.newSession(c)
	n.live(ctx, func() error {
		if err := c.Handshake(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
		n.greet()
		return n.commands(ctx)
	})
}

// live runs a part of a session's life: until it waits in IDLE, after which
// endIdle is the next part, or to its end.
func (s *session) live(ctx context.Context, part func() error) {
	resting := false
	defer func() {
		if !resting {
			s.close()
		}
	}()
	err := part()
	if resting = err == nil && s.idling; resting {
		s.conn.Rest(s.wake)
		return
	}
	s.farewell(ctx, err)
	if link := s.leave(); link != nil {
		s.gate.handOver(ctx, link, s.conn)
	}
}

// wake goes on with a session whose client has said something in IDLE, or won't.
func (s *session) wake(ctx context.Context, arrived error) {
	s.live(ctx, func() error {
		if err := s.endIdle(ctx, arrived); err != nil {
			return err
		}
		s.commandDone()
		return s.commands(ctx)
	})
}

// handOver lets octets move until the client or the back end ends. Nothing of
// the session stays.
func (g *gate) handOver(ctx context.Context, link *proxy.Link, c *wire.Conn) {
	link.HandOver(ctx, c, func(err error) { link.LogEnd(ctx, g.logger, err) })
}

func orDefaultLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
