package imap

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/proxy"
)

// Proxy lets clients in as a Server does, logs them in at the back end that has
// their mail, and moves octets between the two from then on: every extension
// of the back end, compression too, is the client's; but for UNAUTHENTICATE,
// which clients are not told of, because nothing here would see the next login.
// Servers of this package refuse it to who comes through a front end. Set its
// fields before Serve and leave them alone then; Front is required.
//
// What the client shows is shown to the back end: a password by PLAIN or LOGIN,
// a token by the mechanism that brought it. With Auth it must be good here
// first, and back ends with a Backend.MasterUser are logged in to in the user's
// name by that, which they never are without Auth.
//
// A wrong password is answered as a Server answers it, whoever found it wrong,
// and the client may try again. A user that is not mapped is answered likewise
// where there is no Auth, but sooner than a back end can; with Auth he is
// somebody whose mail is nowhere, and that, like all that fails in maps, in the
// network and in back ends, is NO [UNAVAILABLE]. A back end that breaks off
// after login ends the connection without a word, because nobody knows
// whether it was within a literal.
type Proxy struct {
	Front *proxy.Front

	// Auth checks credentials before any back end is asked; nil: back ends do.
	Auth auth.Authenticator
	// Throttle slows guessing down where Auth is nil; with Auth, put it around
	// that. nil: each session is slowed down alone.
	Throttle *auth.Throttle

	// SASL says which mechanisms are offered, beside the command LOGIN. A nil
	// list means PLAIN and LOGIN. Name OAUTHBEARER and XOAUTH2 where all back
	// ends take them, and those that show neither password nor token, as SCRAM,
	// where all back ends have a Backend.MasterUser: they need Auth.
	SASL auth.Policy

	Hostname string      // in the greeting; "" leaves it out
	TLS      *tls.Config // as Server.TLS
	// PlainAuth is as Server.PlainAuth.
	PlainAuth func(remote netip.Addr) bool
	// Fronts is as Server.Fronts: proxies that stand before this one, whose
	// clients' addresses, names for sessions and hops it passes on.
	Fronts func(netip.Addr) bool

	// Capabilities are those before login, without STARTTLS, LOGINDISABLED and
	// AUTH: what all back ends have. After login the client is told those of
	// its own back end. nil: IMAP4rev1 LITERAL+ ENABLE ID SASL-IR.
	Capabilities []string

	ID   map[string]string // as Server.ID, before login
	Pass Pass              // what passes beside credentials; zero: nothing

	// Limits and Timeouts are those before login; a Backend has those of what
	// follows. Most fields have no meaning here.
	Limits   Limits
	Timeouts Timeouts
	Logger   *slog.Logger // nil means slog.Default()

	pool front.Pool
}

// Pass is a set of what a Proxy passes on of its own accord.
type Pass uint

// What may pass.
const (
	// PassID tells back ends that announce ID what the client has said of
	// itself in ID, but for names that begin with "x-".
	PassID Pass = 1 << iota
	// PassRefusals tells clients why the back end refuses a login, in its
	// words; else they hear those of this package, which tell nothing.
	PassRefusals
)

// capsOfBackends are what all back ends are taken to have.
var capsOfBackends = []string{"IMAP4rev1", "LITERAL+", "ENABLE", "ID", "SASL-IR"}

// Serve accepts connections from l and serves each until it ends, as
// Server.Serve does. The end of ctx stops accepting and cuts sessions that
// are relayed.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	return p.pool.Serve(ctx, l, p.Timeouts.wire(), p.gate().serve)
}

// Shutdown stops accepting, tells clients that are not logged in BYE, and waits
// until all sessions have ended or ctx ends.
func (p *Proxy) Shutdown(ctx context.Context) error { return p.pool.Shutdown(ctx) }

// Close stops accepting and cuts every session.
func (p *Proxy) Close() error { return p.pool.Close() }

// Sessions returns how many sessions run, logged in or not.
func (p *Proxy) Sessions() int { return p.pool.Len() }

// gate is the way in to back ends.
func (p *Proxy) gate() *gate {
	caps := p.Capabilities
	if caps == nil {
		caps = capsOfBackends
	}
	return &gate{
		behind: p, hostname: p.Hostname, sasl: proxy.PasswordsUnlessNamed(p.SASL), tls: p.TLS, plainAuth: p.PlainAuth, fronts: p.Fronts, caps: caps, id: p.ID, pass: p.Pass,
		limits: p.Limits.withDefaults(), timeouts: p.Timeouts, logger: orDefaultLogger(p.Logger),
	}
}
