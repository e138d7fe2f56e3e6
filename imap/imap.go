// Package imap is an IMAP server: IMAP4rev1 (RFC 3501) and IMAP4rev2
// (RFC 9051) over any [storage.Store]. Its Proxy lets clients in the same way,
// and leads each to the back end that has his mail.
//
// Invariants of this package:
//
//   - Octets of a refused literal or of a broken line never run as commands.
//   - A command is bounded in octets, literals, depth and keys before it
//     runs; a message to append goes to a spool, never whole into memory.
//   - Messages are served octet for octet as they were stored. A literal that
//     can't be finished ends the connection.
//   - Sequence numbers mean what the client was last told: no EXPUNGE is sent
//     while FETCH, STORE or SEARCH runs (RFC 3501 §7.4.1).
//   - A search, a sort and a thread hold keys, never messages: up to 200 octets
//     a message. What they read of headers is kept for the next ones within a
//     bound for all sessions (Limits.SearchMemory).
//   - A client that comes back with the highest mod-sequence it was sent, the
//     last HIGHESTMODSEQ counting for more than any MODSEQ before it, misses no
//     change (RFC 7162).
//   - Every command checks its rights on the mailboxes that it names (RFC 4314
//     §4). A mailbox that a user may not know of is to him as a missing one, in
//     what is said and in what the store is asked.
//   - A client sees fixed texts; the reason of a failure goes to the log.
//   - What a back end says before and with its answer to a login is bounded, and
//     the client hears one tagged line of it. Nothing that it does is told as a
//     wrong password, unless it says so.
//   - Sessions share what they hold of a mailbox, at most 40 octets a message;
//     one that is told of nothing for a while keeps at most one older state of
//     it, whatever happens meanwhile. An idle session holds no buffer.
//
// The words of the protocol (flags, UIDs, sets, response codes) are those of
// github.com/emersion/go-imap/v2.
package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

// Server serves IMAP. Set its fields before Serve and leave them alone then;
// Store and Auth are required.
type Server struct {
	Store    storage.Store
	Auth     auth.Authenticator
	SASL     auth.Policy // which mechanisms are offered
	Hostname string      // in the greeting; "" leaves it out

	// Kinds are those of the mailboxes that clients see; nil: mail alone. For
	// clients, others are not there, but for their names, which are taken.
	// INBOX is of kind storage.Mail.
	Kinds []storage.Kind

	Namespaces Namespaces // names that lead to others' mailboxes; zero: there are none
	Access     Access     // what others' lists mean to a user; nil: everybody has his own account only

	// TLS lets clients ask for encryption with STARTTLS; nil: they can't.
	TLS *tls.Config
	// PlainAuth says who may send a password over an unencrypted connection, by
	// the address at its other end, a front end's too; nil: nobody.
	PlainAuth func(remote netip.Addr) bool

	// Fronts says whose word on who their clients are is taken: front ends tell
	// by ID before login, with the fields that Dovecot's have (x-originating-ip,
	// x-session-id and others). It counts for logins and the log, where the
	// session has the front end's name for it. From everybody else, and after
	// login, such fields are ignored as all others are; what is told before
	// STARTTLS is forgotten. There is no UNAUTHENTICATE for who comes through
	// one, which would not notice. Many users come from one such address: let
	// listener.Rule give it limits of its own, and put it into
	// auth.ThrottleOptions.Trusted. nil: nobody's.
	Fronts func(netip.Addr) bool

	// Annotations are the shared ones of the server (RFC 5464 §6.2.1), by their
	// names without the scope: "/comment", and "/admin" with a URI of who runs
	// the server. Clients read them. nil: none.
	Annotations map[string]string

	// QuotaAdmin says who may change quotas with SETQUOTA, of the own account
	// and of mailboxes that he administers; nil: nobody.
	QuotaAdmin func(user string) bool

	Limits   Limits
	Timeouts Timeouts
	ID       map[string]string // answer to ID (RFC 2971); nil: NIL
	SpoolDir string            // for messages that are being appended; "" means os.TempDir
	Logger   *slog.Logger      // nil means slog.Default()

	pool   front.Pool
	boards boards
	heads  headCache
	lists  sync.Mutex // held while an access control list is changed
}

// Limits bound what a client may ask. A zero field means its default.
type Limits struct {
	AppendSize   int64 // octets of an appended message; default 50 MiB
	Line         int   // octets of a line; default 64 KiB
	Command      int   // octets of a command with its literals, messages apart; default 256 KiB, before login 16 KiB
	Literals     int   // literals of one command; default 1,000
	BadBefore    int   // bad commands before login; default 10
	BadAfter     int   // bad commands in a row after login; default 20
	AuthFailures int   // failed logins of a session; default 5
	SpoolMemory  int64 // octets of an appended message that stay in memory; default 64 KiB
	Views        int64 // octets of memory, about, for mailboxes that nobody has selected any more; default 64 MiB, negative: none
	Messages     int   // messages that one command processes (RFC 9738), which should be 1,000 or more; 0: no limit
	SearchMemory int64 // octets of headers that searches of all sessions keep for the next; default 64 MiB, negative: none
}

// Timeouts of a session. A zero field means its default.
type Timeouts struct {
	Login     time.Duration // waiting for a command before login; default 3 minutes
	Idle      time.Duration // waiting for a command after login; default 31 minutes (RFC 9051 §5.4: at least 30)
	Push      time.Duration // inside IDLE; default 24 hours, the network's own checks find dead clients earlier
	Line      time.Duration // from the first octet of a line to its end; default 1 minute
	Read      time.Duration // each read inside a literal; default 3 minutes
	Write     time.Duration // each write; default 3 minutes
	Handshake time.Duration // a TLS handshake; default 30 seconds
	AuthDelay time.Duration // grows with each failed login by this; default 1 second, negative: none
	Progress  time.Duration // between reports on how far a long command is (RFC 9585); default 10 seconds, negative: none
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

const commandBeforeLogin = 16 << 10

func (l Limits) withDefaults() Limits {
	l.AppendSize = orDefault(l.AppendSize, 50<<20)
	l.Line = orDefault(l.Line, 64<<10)
	l.Command = orDefault(l.Command, 256<<10)
	l.Literals = orDefault(l.Literals, 1000)
	l.BadBefore = orDefault(l.BadBefore, 10)
	l.BadAfter = orDefault(l.BadAfter, 20)
	l.SpoolMemory = orDefault(l.SpoolMemory, 64<<10)
	l.Views = orDefault(l.Views, 64<<20)
	l.SearchMemory = orDefault(l.SearchMemory, 64<<20)
	return l
}

func (t Timeouts) wire() wire.Timeouts {
	return wire.Timeouts{
		Idle: t.login(), Line: t.Line,
		Read: t.Read, Write: t.Write, Handshake: t.Handshake,
	}
}

func (t Timeouts) login() time.Duration    { return orDefault(t.Login, 3*time.Minute) }
func (t Timeouts) idle() time.Duration     { return orDefault(t.Idle, 31*time.Minute) }
func (t Timeouts) push() time.Duration     { return orDefault(t.Push, 24*time.Hour) }
func (t Timeouts) progress() time.Duration { return orDefault(t.Progress, 10*time.Second) }

// Serve accepts connections from l and serves each until it ends. It closes l,
// and returns ErrServerClosed when the server is stopped or ctx ends. The end
// of ctx stops accepting and interrupts what running commands wait for; use
// Shutdown to let them finish. Serve may be called for several listeners.
// storage.ErrBadName when Namespaces can't be served.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := s.Namespaces.check(); err != nil {
		return errors.Join(err, l.Close())
	}
	return s.pool.Serve(ctx, l, s.Timeouts.wire(), s.gate().serve)
}

// Shutdown stops accepting, lets running commands finish, tells every client
// BYE, and waits until all sessions have ended or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.pool.Shutdown(ctx) }

// Close stops accepting and cuts every session.
func (s *Server) Close() error { return s.pool.Close() }

// Sessions returns how many sessions run.
func (s *Server) Sessions() int { return s.pool.Len() }

// gate is the way in to the accounts of the store.
func (s *Server) gate() *gate {
	return &gate{
		behind: s, hostname: s.Hostname, sasl: s.SASL, tls: s.TLS, plainAuth: s.PlainAuth, fronts: s.Fronts, caps: capsAlways, id: s.ID,
		limits: s.Limits.withDefaults(), timeouts: s.Timeouts, logger: orDefaultLogger(s.Logger),
	}
}
