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
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

// Server receives mail. Set its fields before Serve and leave them alone
// then; the zero value of each is a sensible default, but for Handler. A
// Server that was stopped stays stopped.
type Server struct {
	Protocol Protocol
	Hostname string  // in the greeting, EHLO and Received; empty: the host's own name
	Handler  Handler // takes over accepted messages; required
	Hooks    []Hooks // asked in order; without a Rcpt hook every recipient is refused

	Auth        auth.Authenticator           // nil: AUTH is not offered
	TLS         *tls.Config                  // for STARTTLS; nil: not offered
	RequireTLS  bool                         // no mail before STARTTLS (530)
	RequireAuth bool                         // no mail before AUTH (530); always so with Submission
	PlainAuth   func(remote netip.Addr) bool // who may log in without TLS; nil: nobody
	GreetDelay  time.Duration                // who talks before the greeting, sent after this delay, is refused; 0: no check

	Limits      Limits
	Timeouts    Timeouts
	SpoolDir    string       // where large messages wait for their end; empty: os.TempDir
	SpoolMemory int64        // octets of a message that are kept in memory before that; 0: 64 KiB
	Logger      *slog.Logger // nil: slog.Default

	pool front.Pool
}

var errNoHandler = errors.New("smtp: Server.Handler is not set")

// Serve accepts connections from l and serves them until Shutdown or Close;
// then it returns ErrServerClosed. The end of ctx stops accepting, and is the
// end of the context of every hook. It may be called for several listeners.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return errNoHandler
}

// Shutdown stops accepting, answers 421 to every session that waits for a
// command, and waits for those in the middle of a message. When ctx ends
// first it returns ctx's error, and Close can cut what is left.
func (s *Server) Shutdown(ctx context.Context) error { return s.pool.Shutdown(ctx) }

// Close stops accepting and cuts all sessions. It does not wait for them.
func (s *Server) Close() error { return s.pool.Close() }
