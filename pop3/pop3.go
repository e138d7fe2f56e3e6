// Package pop3 is a POP3 server engine (RFC 1939) over any storage.Store and
// any auth.Authenticator.
//
// Invariants of this package:
//
//   - A session sees the messages that INBOX held when it opened: later ones
//     are not listed, and one that is expunged elsewhere stays listed, with
//     size 0 once that is known, and its RETR is an error.
//   - Messages are deleted in the UPDATE state only, after QUIT; a session
//     that ends in any other way deletes nothing.
//   - UIDL values never change and are never given to another message.
//   - The content of a message is sent as it is stored. A dot is put before
//     every line that begins with one, where lines end in LF, with or
//     without a CR before it, because that is where clients take it away; and
//     the content is ended with CRLF when it does not end so.
//   - RETR sets \Seen, at the latest when the session ends.
package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
)

// Server serves POP3. Store and Auth are required; set the fields before
// Serve and don't change them after.
type Server struct {
	Store     storage.Store
	Auth      auth.Authenticator
	Hostname  string                       // in the greeting; empty means "localhost"
	TLS       *tls.Config                  // for STLS; nil: not offered
	PlainAuth func(remote netip.Addr) bool // who may send passwords without TLS; nil: nobody
	Greeting  string                       // %D becomes the host name, %U the date; empty means a default
	Limits    Limits
	Timeouts  Timeouts
	Logger    *slog.Logger // nil means slog.Default()

	pool  front.Pool
	drops maildrops
}

// Limits bound what a session may do. A zero field means its default.
type Limits struct {
	BadCommands  int // wrong commands before the session is closed; default 20
	AuthFailures int // failed logins before the session is closed; default 5
	Sessions     int // simultaneous sessions of one maildrop; default 1 (RFC 1939 §4: exclusive)
	// AuthDelay is waited after the first failed login, twice that after the
	// second, and so on; default one second, negative means none.
	AuthDelay time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.BadCommands == 0 {
		l.BadCommands = 20
	}
	if l.Sessions == 0 {
		l.Sessions = 1
	}
	return l
}

// Timeouts bound how long a session may be silent. A zero field means its
// default.
type Timeouts struct {
	Idle  time.Duration // between commands; default 10 minutes (RFC 1939 §3)
	Write time.Duration // of each write; default 3 minutes
}

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

// Serve accepts connections until ctx ends, l fails, or the server is stopped.
// It always returns an error, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	t := wire.Timeouts{Idle: s.Timeouts.Idle, Write: s.Timeouts.Write}
	if t.Idle == 0 {
		t.Idle = 10 * time.Minute
	}
	return s.pool.Serve(ctx, l, t, s.serve)
}

// Shutdown stops accepting, ends sessions that wait for a command, and waits
// for the others until ctx ends; Close then cuts what is left.
func (s *Server) Shutdown(ctx context.Context) error { return s.pool.Shutdown(ctx) }

// Close stops accepting and cuts all sessions.
func (s *Server) Close() error { return s.pool.Close() }

func (s *Server) greeting() string {
	host := s.Hostname
	if host == "" {
		host = "localhost"
	}
	g := s.Greeting
	if g == "" {
		g = "%D POP3 server ready"
	}
	return strings.NewReplacer("%D", host, "%U", time.Now().Format(time.RFC1123Z)).Replace(g)
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

// maildrops counts the sessions of each maildrop.
type maildrops struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts a session in, unless there are limit already.
func (m *maildrops) enter(user string, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[user] >= limit {
		return false
	}
	if m.open == nil {
		m.open = make(map[string]int)
	}
	m.open[user]++
	return true
}

func (m *maildrops) leave(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[user]--; m.open[user] <= 0 {
		delete(m.open, user)
	}
}
