package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// Proxy takes mail from users for whom back ends send it: it lets clients in as
// a Server of the Submission protocol does, logs them in at the back end that
// has their account, and moves octets between the two from then on. So it is
// the back end that knows which addresses a user may send from, and how much.
// Set its fields before Serve and leave them alone then; Front is required.
// (Mail to users goes its way by a [Router], which is a Handler.)
//
// What the client shows is shown to the back end: a password by PLAIN or LOGIN,
// a token by the mechanism that brought it. With Auth it must be good here
// first, and back ends with a Backend.MasterUser are logged in to in the user's
// name by that, which they never are without Auth.
//
// A wrong password is answered 535, whoever found it wrong, and the client may
// try again; so is, without Auth, a user that is not mapped. All that fails in
// maps, in the network and in back ends is answered 454 (RFC 4954 §6) within
// Sessions.MaxWait, Backend.Queue and Backend.Connect. A back end that breaks
// off after the login ends the client's connection: no message that it has not
// answered for was accepted.
type Proxy struct {
	Front *proxy.Front

	// Auth checks credentials before any back end is asked; nil: back ends do.
	Auth auth.Authenticator
	// Throttle slows guessing down where Auth is nil; with Auth, put it around
	// that. nil: each session is slowed down alone.
	Throttle *auth.Throttle
	// SASL says which mechanisms are offered. A nil list means PLAIN and LOGIN.
	// Name OAUTHBEARER and XOAUTH2 where all back ends take them, and those
	// that show neither password nor token, as SCRAM, where all back ends have
	// a Backend.MasterUser: they need Auth.
	SASL auth.Policy

	// Extensions are what is announced beside STARTTLS and AUTH, each as it
	// stands in a line of the answer to EHLO ("SIZE 52428800"). Clients don't ask
	// again after the login: all back ends must have them. nil: PIPELINING,
	// ENHANCEDSTATUSCODES, 8BITMIME.
	Extensions []string

	// What follows is as in Server. Of Hooks only Connect, Ehlo and Close are
	// asked, and of Limits and Timeouts only those before the login count.
	Hostname   string
	Greeting   string
	Hooks      []Hooks
	TLS        *tls.Config
	RequireTLS bool
	PlainAuth  func(remote netip.Addr) bool
	Fronts     func(netip.Addr) bool
	GreetDelay time.Duration
	Limits     Limits
	Timeouts   Timeouts
	Logger     *slog.Logger

	pool front.Pool
}

// extensionsOfBackends are what all back ends are taken to have.
var extensionsOfBackends = []string{"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"}

var errProxyWithoutFront = errors.New("smtp: Proxy.Front is not set")

// Serve accepts connections from l and serves each until it ends, as
// Server.Serve does. The end of ctx stops accepting and cuts sessions that
// are relayed.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	rules, err := p.prepare()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return p.pool.Serve(ctx, l, p.Timeouts.wire(), func(ctx context.Context, w *wire.Conn) {
		newConversation(rules, w).run(ctx)
	})
}

// Shutdown stops accepting, answers 421 to every client that is not logged in,
// and waits until all sessions have ended or ctx ends.
func (p *Proxy) Shutdown(ctx context.Context) error { return p.pool.Shutdown(ctx) }

// Close stops accepting and cuts every session. It does not wait.
func (p *Proxy) Close() error { return p.pool.Close() }

// Sessions returns how many sessions run, logged in or not.
func (p *Proxy) Sessions() int { return p.pool.Len() }

// prepare makes the rules of a Server that takes no mail itself.
func (p *Proxy) prepare() (*policy, error) {
	if p.Front == nil {
		return nil, errProxyWithoutFront
	}
	s := &Server{
		Protocol: Submission, Hostname: p.Hostname, Greeting: p.Greeting, Hooks: p.Hooks,
		Handler: HandlerFunc(func(context.Context, *Message) error { return errNeedsAuth }),
		Auth:    p.Auth, SASL: proxy.PasswordsUnlessNamed(p.SASL), TLS: p.TLS, RequireTLS: p.RequireTLS, PlainAuth: p.PlainAuth, Fronts: p.Fronts, GreetDelay: p.GreetDelay,
		Limits: p.Limits, Timeouts: p.Timeouts, Logger: p.Logger,
	}
	rules, err := s.prepare()
	if err != nil {
		return nil, err
	}
	rules.proxy, rules.extensions = p, extensionLines(p.announced())
	return rules, nil
}

// announced are the extensions that the client is told of.
func (p *Proxy) announced() []string {
	if len(p.Extensions) == 0 {
		return extensionsOfBackends
	}
	return p.Extensions
}
