package imap

import (
	"context"
	"errors"
	"log/slog"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/storage"
)

type loginRequest struct{ user, password string }

// parseLogin reads LOGIN (RFC 9051 §6.2.3).
func parseLogin(p *parser) request {
	p.space()
	r := &loginRequest{user: p.astring()}
	p.space()
	r.password = p.astring()
	return r
}

var errNeedsTLS = no(imap.ResponseCodePrivacyRequired, "A secure connection is required to log in")

// loginReady refuses LOGIN before a password is sent as a literal.
func (s *session) loginReady() error {
	if !s.mayShowPassword() {
		return errNeedsTLS
	}
	return nil
}

func (r *loginRequest) run(ctx context.Context, s *session) (result, error) {
	c := s.credentials()
	c.User, c.Password = r.user, r.password
	asked := s.ask()
	id, err := asked.Authenticate(ctx, c)
	if err != nil {
		return result{}, s.loginFailed(ctx, asked, err)
	}
	return s.gate.behind.enter(ctx, s, asked, id)
}

// credentials returns what is known of the connection.
func (s *session) credentials() auth.Credentials {
	return auth.Credentials{
		Service: "imap", Remote: s.remote(), Peer: s.conn.Remote(), Secure: s.secure(), Clear: s.mayShowPassword(), TLS: s.conn.TLS(),
	}
}

// asked is the Authenticator of one login. It remembers what it was asked, for
// the log.
type asked struct {
	auth.Authenticator
	creds auth.Credentials
}

func (s *session) ask() *asked {
	s.dropArrival()
	return &asked{Authenticator: s.authenticator()}
}

// authenticator returns who checks what the client shows.
func (s *session) authenticator() auth.Authenticator { return s.gate.behind.authenticator(s) }

func (a *asked) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	a.creds = c
	return a.Authenticator.Authenticate(ctx, c)
}

// Unwrap keeps the optional powers of the Authenticator.
func (a *asked) Unwrap() auth.Authenticator { return a.Authenticator }

// loginFailed logs a failed login and returns what the client may know. A guess
// is counted and slows the client down.
func (s *session) loginFailed(ctx context.Context, a *asked, err error) error {
	front.LogFailed(ctx, s.gate.logger, front.Login{
		Service: "imap", Remote: s.remote().String(), User: a.creds.User, Session: s.id, Told: s.told,
	}, err)
	reply := authAnswer(err, s.gate.pass)
	if !front.IsGuess(err) {
		return reply
	}
	_ = s.out.release() // answers to what was pipelined need not wait
	_ = s.conn.Flush()
	s.out.reset()
	if !s.guard.Failed(ctx) {
		return &goodbye{text: "Too many failed logins", err: reply}
	}
	return reply
}

func authAnswer(err error, pass Pass) error {
	refusal, ok := errors.AsType[*proxy.Refusal](err)
	switch {
	case ok && pass&PassRefusals != 0 && refusal.Text != "":
		return no(imap.ResponseCode(refusal.Code), refusal.Text)
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		return no(imap.ResponseCodeAuthenticationFailed, "Authentication failed")
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	case errors.Is(err, auth.ErrTooMany):
		return no(imap.ResponseCodeLimit, "Too many failed attempts, please try again later")
	}
	return no(imap.ResponseCodeUnavailable, "Temporary failure, please try again later")
}

func (s *Server) authenticator(*session) auth.Authenticator { return s.Auth }

// enter opens the account of who has proved to be somebody.
func (s *Server) enter(ctx context.Context, n *session, _ *asked, id auth.Identity) (result, error) {
	account, err := storage.UserAccount(ctx, s.Store, id.User)
	if errors.Is(err, storage.ErrFrozen) {
		n.log(ctx, slog.LevelInfo, "account is being moved", err, "login", id.User)
		return result{}, err
	}
	if err != nil {
		n.log(ctx, slog.LevelError, "account could not be opened", err, "login", id.User)
		return result{}, no(imap.ResponseCodeUnavailable, "Temporary failure, please try again later")
	}
	n.told.Seal() // from now on it passes on what the client says
	n.user, n.account = id.User, s.shown(account)
	n.state, n.bad = imap.ConnStateAuthenticated, 0
	n.in.limits = n.limits
	n.conn.SetIdleTimeout(s.Timeouts.idle())
	n.unwatch = n.account.Watch(func(c storage.Change) { n.notice(ctx, c) })
	n.authenticated(ctx, id)
	return result{code: n.capabilityCode(), text: "Logged in"}, nil
}

// authenticated logs who was let in.
func (s *session) authenticated(ctx context.Context, id auth.Identity, more ...slog.Attr) {
	s.gate.logger.LogAttrs(ctx, slog.LevelInfo, "authenticated", append([]slog.Attr{
		slog.String("service", "imap"), slog.String("remote", s.remote().String()),
		slog.String("user", id.User), slog.String("session", s.id), s.told.Attr()}, more...)...)
}
