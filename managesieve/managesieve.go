// Package managesieve lets clients of ManageSieve (RFC 5804) in and hands them
// over to the back ends that have their scripts.
//
// Invariants of this package:
//
//   - Before login a command, with its literals, is bounded: what is longer is
//     refused without being read, and the connection ends.
//   - After a framing error nothing more is parsed.
//   - A failure of a map, a network or a back end is NO (TRYLATER), never a
//     wrong password.
//   - A client sees fixed texts; the reason of a failure goes to the log.
package managesieve

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

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

var errNoFront = errors.New("managesieve: Proxy.Front is not set")

// Proxy lets clients in, logs them in at the back end that has their scripts,
// and moves octets between the two from then on. Set its fields before Serve
// and leave them alone then; Front is required. A Proxy that was stopped stays
// stopped.
//
// What the client shows is shown to the back end: a password by PLAIN, a token
// by the mechanism that brought it. With Auth it must be good here first, and
// back ends with a Backend.MasterUser are logged in to in the user's name by
// that, which they never are without Auth.
//
// A wrong password is NO, whoever found it wrong, and the client may try again.
// A user that is not mapped is answered likewise where there is no Auth, but
// sooner than a back end can; with Auth he is somebody whose scripts are
// nowhere, and that, like all that fails in maps, in the network and in back
// ends, is NO (TRYLATER). Referrals of back ends (RFC 5804 §1.3) are followed
// where Front.Referrals allows it, and never told to clients. A back end that breaks off after login ends the connection without
// a word.
type Proxy struct {
	Front *proxy.Front

	// Auth checks credentials before any back end is asked; nil: back ends do.
	Auth auth.Authenticator
	// Throttle slows guessing down where Auth is nil; with Auth, put it around
	// that. nil: each session is slowed down alone.
	Throttle *auth.Throttle

	// SASL says which mechanisms are offered. A nil list means PLAIN and LOGIN.
	// Name OAUTHBEARER and XOAUTH2 where all back ends take them, and those that
	// show neither password nor token, as SCRAM, where all back ends have a
	// Backend.MasterUser: they need Auth.
	SASL auth.Policy

	Hostname string // in the greeting; empty leaves it out

	// TLS lets clients ask for encryption with STARTTLS; nil: they can't.
	TLS *tls.Config
	// PlainAuth says who may send a password over an unencrypted connection;
	// nil: nobody.
	PlainAuth func(remote netip.Addr) bool

	// Fronts says whose word on who their clients are is taken: front ends tell
	// by XCLIENT before login, as Dovecot's do, and only they find it among the
	// capabilities. What they tell counts for logins and the log, and is passed
	// on to back ends. For everybody else there is no such command; what is told
	// before STARTTLS is forgotten. Many users come from one such address: let
	// listener.Rule give it limits of its own, and put it into
	// auth.ThrottleOptions.Trusted. nil: nobody's.
	Fronts func(netip.Addr) bool

	// Sieve is the capability SIEVE: the extensions that all back ends have, with
	// spaces between them. Most clients ask for capabilities only before login.
	Sieve string

	Pass     Pass // what passes of a back end's words before login; zero: nothing
	Limits   Limits
	Timeouts Timeouts     // those before login; a Backend has those of what follows
	Logger   *slog.Logger // nil means slog.Default()

	pool front.Pool
}

// Pass is a set of what a Proxy passes on of its own accord.
type Pass uint

// PassRefusals tells clients why the back end refuses a login, in its words;
// else they hear those of this package, which tell nothing.
const PassRefusals Pass = 1 << iota

// Limits bound what one session may do before login. A zero field means its
// default.
type Limits struct {
	BadCommands  int // commands that could not be understood, then the session is closed; default 20
	AuthFailures int // failed logins, then the session is closed; default 5
	Command      int // octets of a command with its literals; default 24 KiB, which the longest tokens need
}

func (l Limits) withDefaults() Limits {
	if l.BadCommands == 0 {
		l.BadCommands = 20
	}
	if l.Command == 0 {
		l.Command = front.MaxSASLLine
	}
	return l
}

// Timeouts of a session before login. A zero field means its default.
type Timeouts struct {
	Login     time.Duration // waiting for a command; default 3 minutes
	Line      time.Duration // from the first octet of a line to its end; default 1 minute
	Write     time.Duration // each write; default 3 minutes
	Handshake time.Duration // a TLS handshake; default 30 seconds
	AuthDelay time.Duration // grows with each failed login by this; default 1 second, negative: none
}

func (t Timeouts) wire() wire.Timeouts {
	if t.Login == 0 {
		t.Login = 3 * time.Minute
	}
	read := t.Line // literals are short before login
	if read == 0 {
		read = time.Minute
	}
	return wire.Timeouts{Idle: t.Login, Line: t.Line, Read: read, Write: t.Write, Handshake: t.Handshake}
}

// Serve accepts connections from l and serves each until it ends. It returns
// ErrServerClosed when ctx ends or the Proxy is stopped, and closes l. The end
// of ctx cuts sessions that are relayed.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	if p.Front == nil {
		l.Close()
		return errNoFront
	}
	return p.pool.Serve(ctx, l, p.Timeouts.wire(), p.serve)
}

// Shutdown stops accepting, ends sessions that are not logged in with BYE, and
// waits until all have ended or ctx ends.
func (p *Proxy) Shutdown(ctx context.Context) error { return p.pool.Shutdown(ctx) }

// Close stops accepting and cuts every session.
func (p *Proxy) Close() error { return p.pool.Close() }

// Sessions returns how many sessions run, logged in or not.
func (p *Proxy) Sessions() int { return p.pool.Len() }

func (p *Proxy) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.Default()
	}
	return p.Logger
}
