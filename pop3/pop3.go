// Package pop3 is a POP3 server (RFC 1939) over any [storage.Store] and any
// [auth.Authenticator], with CAPA, response codes and pipelining (RFC 2449,
// RFC 3206), STLS (RFC 2595) and AUTH (RFC 5034).
//
// Invariants of this package:
//
//   - A session sees the messages that INBOX held when it opened: later ones
//     are not listed, and one that is expunged elsewhere stays listed, with
//     size 0 once that is known, and its RETR is an error.
//   - Messages are deleted in the UPDATE state only, after QUIT; a session
//     that ends in any other way deletes nothing.
//   - UIDL values never change and are never given to another message.
//   - The content of a message is sent as it is stored: to who takes the
//     protocol's dots away and reads to its end, every octet comes back. A
//     CRLF is added where the content does not end with one. Dots are put at
//     every line start, also after a bare LF, because many clients take them
//     away there and would see an early end: to those who only know CRLF, such
//     a line comes back with a second dot.
//   - RETR sets \Seen, behind the client's back: it is never waited for but at
//     the end of the session.
//   - A client sees fixed texts; the reason of a failure goes to the log.
//   - An idle session holds its list of messages, 16 octets each, and no buffer.
package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/storage"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

var errIncomplete = errors.New("pop3: Server.Store or Server.Auth is not set")

// Server serves POP3. Set its fields before Serve and leave them alone then;
// Store and Auth are required. A Server that was stopped stays stopped.
type Server struct {
	Store    storage.Store
	Auth     auth.Authenticator
	SASL     auth.Policy // which mechanisms are offered
	Hostname string      // in the greeting; empty: the host's own name

	// TLS lets clients ask for encryption with STLS; nil: they can't.
	TLS *tls.Config
	// PlainAuth says who may send a password over an unencrypted connection, by
	// the address at its other end, a front end's too; nil: nobody.
	PlainAuth func(remote netip.Addr) bool

	// Fronts says whose word on who their clients are is taken: front ends tell
	// by XCLIENT before login, as Dovecot's do, and only they are greeted with
	// [XCLIENT] and find it in CAPA. It counts for logins and the log, where the
	// session has the front end's name for it. For everybody else there is no
	// such command; what is told before STLS is forgotten. Many users come from
	// one such address: let listener.Rule give it limits of its own, and put it
	// into auth.ThrottleOptions.Trusted. nil: nobody's.
	Fronts func(netip.Addr) bool

	Greeting string // %D stands for the host name, %U for the date; empty means "%D POP3 server ready"
	Limits   Limits
	Timeouts Timeouts
	Logger   *slog.Logger // nil means slog.Default()

	pool  front.Pool
	drops maildrops
}

// Serve accepts connections from l and serves each until it ends. It returns
// ErrServerClosed when ctx ends or the server is stopped, and closes l. It may
// be called for several listeners, which share the sessions of a maildrop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.Store == nil || s.Auth == nil {
		l.Close()
		return errIncomplete
	}
	return s.pool.Serve(ctx, l, s.Timeouts.wire(), s.gate().serve)
}

// Shutdown stops accepting, ends every session that waits for a command,
// without deleting anything, and waits for the others until ctx ends; then it
// returns ctx's error, and Close can cut what is left.
func (s *Server) Shutdown(ctx context.Context) error { return s.pool.Shutdown(ctx) }

// Close stops accepting and cuts all sessions. It does not wait for them.
func (s *Server) Close() error { return s.pool.Close() }

// Sessions returns how many sessions run.
func (s *Server) Sessions() int { return s.pool.Len() }

// capabilities are those of every Server, at every moment.
var capabilities = []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"}

// gate is the way in to the maildrops of the store.
func (s *Server) gate() *gate {
	return &gate{
		behind: s, hostname: s.Hostname, greeting: s.Greeting, sasl: s.SASL, tls: s.TLS, plainAuth: s.PlainAuth, fronts: s.Fronts,
		caps: capabilities, limits: s.Limits.withDefaults(), timeouts: s.Timeouts, logger: orDefaultLogger(s.Logger),
	}
}
