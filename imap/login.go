package imap

import (
	"context"
	"errors"
	"log/slog"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
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
	id, err := s.server.Auth.Authenticate(ctx, c)
	if err != nil {
		return result{}, s.loginFailed(ctx, err, r.user)
	}
	return s.login(ctx, id)
}

// credentials returns what is known of the connection.
func (s *session) credentials() auth.Credentials {
	return auth.Credentials{Service: "imap", Remote: s.remote(), Secure: s.secure()}
}

// loginFailed counts a failed login, slows the client down, and returns what
// it may know.
func (s *session) loginFailed(ctx context.Context, err error, user string) error {
	reply := authAnswer(err)
	if errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled) {
		s.log(ctx, slog.LevelInfo, "login failed", err, "login", user)
	} else {
		s.log(ctx, slog.LevelWarn, "login not possible", err, "login", user)
	}
	if _ = s.out.release(); !s.guard.Failed(ctx) {
		return &goodbye{text: "Too many failed logins", err: reply}
	}
	s.out.reset()
	return reply
}

func authAnswer(err error) error {
	switch {
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		return no(imap.ResponseCodeAuthenticationFailed, "Authentication failed")
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	case errors.Is(err, auth.ErrTooMany):
		return no(imap.ResponseCodeLimit, "Too many failed attempts, please try again later")
	}
	return no(imap.ResponseCodeUnavailable, "Temporary failure, please try again later")
}

// login opens the account of who has proved to be somebody.
func (s *session) login(ctx context.Context, id auth.Identity) (result, error) {
	account, err := s.server.Store.Account(ctx, id.User)
	if err != nil {
		s.log(ctx, slog.LevelError, "account could not be opened", err, "login", id.User)
		return result{}, no(imap.ResponseCodeUnavailable, "Temporary failure, please try again later")
	}
	s.user, s.account = id.User, account
	s.state, s.bad = imap.ConnStateAuthenticated, 0
	s.in.limits = s.limits
	s.conn.SetIdleTimeout(s.server.Timeouts.idle())
	s.unwatch = account.Watch(func(c storage.Change) { s.notice(ctx, c) })
	s.log(ctx, slog.LevelInfo, "logged in", nil)
	return result{code: s.capabilityCode(), text: "Logged in"}, nil
}
