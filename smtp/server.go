package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = front.ErrStopped

// Server receives mail. Set its fields before Serve and leave them alone
// then; the zero value of each is a sensible default, but for Handler. A
// Server that was stopped stays stopped.
type Server struct {
	Protocol Protocol
	Hostname string  // in the greeting, EHLO and Received; empty: the host's own name
	Greeting string  // what follows it in the greeting; empty: "ESMTP Posthouse" or "LMTP Posthouse"
	Handler  Handler // takes over accepted messages; required
	Hooks    []Hooks // asked in order; without a Rcpt hook every recipient is refused

	Auth        auth.Authenticator           // nil: AUTH is not offered
	SASL        auth.Policy                  // which mechanisms AUTH offers
	TLS         *tls.Config                  // for STARTTLS; nil: not offered
	RequireTLS  bool                         // no mail and no AUTH before STARTTLS (530)
	RequireAuth bool                         // no mail before AUTH (530); always so with Submission
	PlainAuth   func(remote netip.Addr) bool // who may log in without TLS, by the address at the other end, a front end's too; nil: nobody
	GreetDelay  time.Duration                // who talks before the greeting, sent after this delay, is refused; 0: no check

	// Fronts says whose word on who their clients are is taken: XCLIENT is
	// announced to front ends alone (as Postfix has it, without LOGIN), and for
	// everybody else there is no such command. What it tells is the session's
	// Remote, Local and ID then, for hooks, logins and the log, and the session
	// begins anew. It is taken before the first MAIL and before AUTH, after
	// which the front end may be passing on what its client says; STARTTLS comes
	// before it. Many users come from one such address:
	// let listener.Rule give it limits of its own, and put it into
	// auth.ThrottleOptions.Trusted. nil: nobody's.
	Fronts func(netip.Addr) bool

	// KeepsTLS announces REQUIRETLS (RFC 8689) on connections with TLS. The
	// Handler must keep the promise, as a Router does, and a queue whose
	// mail a sender.Sender sends.
	KeepsTLS bool
	// Without names extensions that are not announced, and whose parameters are
	// unknown, because those who get the mail next don't have them: DSN,
	// SMTPUTF8, 8BITMIME, BINARYMIME, CHUNKING, SIZE, PIPELINING, LIMITS, HELP.
	Without []string

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
// It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	p, err := s.prepare()
	if err != nil {
		l.Close()
		return err
	}
	return s.pool.Serve(ctx, l, s.Timeouts.wire(), func(ctx context.Context, w *wire.Conn) {
		newConversation(p, w).run(ctx)
	})
}

// Shutdown stops accepting, answers 421 to every session that waits for a
// command, and waits for those in the middle of a message. When ctx ends
// first it returns ctx's error, and Close can cut what is left.
func (s *Server) Shutdown(ctx context.Context) error { return s.pool.Shutdown(ctx) }

// Close stops accepting and cuts all sessions. It does not wait for them.
func (s *Server) Close() error { return s.pool.Close() }

// policy is a Server with its defaults filled in, shared by its sessions.
type policy struct {
	*Server
	hostname    string
	greeting    string
	limits      Limits
	log         *slog.Logger
	requireAuth bool
	asksRcpt    bool   // some hook decides about recipients
	asksHeader  bool   // some hook wants to see the header
	extensions  string // the lines of EHLO that are the same for every session
	proxy       *Proxy // whose sessions go on at back ends; nil: a Server's
}

func (s *Server) prepare() (*policy, error) {
	if s.Handler == nil {
		return nil, errNoHandler
	}
	p := &policy{
		Server:      s,
		hostname:    s.Hostname,
		limits:      s.Limits.withDefaults(s.Protocol),
		log:         s.Logger,
		requireAuth: s.RequireAuth || s.Protocol == Submission,
	}
	if p.hostname == "" {
		p.hostname, _ = os.Hostname()
	}
	if p.hostname = printable(p.hostname); p.hostname == "" {
		p.hostname = "localhost"
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.greeting = printable(s.Greeting); p.greeting == "" {
		p.greeting = "ESMTP Posthouse"
		if s.Protocol == LMTP {
			p.greeting = "LMTP Posthouse"
		}
	}
	for _, h := range s.Hooks {
		p.asksRcpt = p.asksRcpt || h.Rcpt != nil
		p.asksHeader = p.asksHeader || h.Header != nil
	}
	p.extensions = p.fixedExtensions()
	return p, nil
}

// ask puts one question to each of the hooks in order, until one refuses.
func (p *policy) ask(question func(h *Hooks) error) *mail.Reply {
	for i := range p.Hooks {
		if r := refusal(question(&p.Hooks[i])); r != nil {
			return r
		}
	}
	return nil
}

// refusal is the answer that err calls for: nil when it is none, or success.
func refusal(err error) *mail.Reply {
	r := mail.AsReply(err)
	switch {
	case r == nil || r.Code/100 == 2:
		return nil
	case r.Code < 400 || r.Code > 599:
		return mail.ErrTemporary.Because(err)
	}
	return r
}
