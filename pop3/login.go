package pop3

import (
	"context"
	"errors"
	"log/slog"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/storage"
)

// allowsLogin reports whether this client may send a password now.
func (n *session) allowsLogin() bool {
	return n.secure() || n.gate.plainAuth != nil && n.gate.plainAuth(n.told.Allowed(n.conn.Remote()))
}

func (n *session) secure() bool { return n.conn.TLS() != nil }

var errNeedsTLS = misunderstood("A secure connection is required to log in")

func (n *session) mayLogIn() error {
	if !n.allowsLogin() {
		return errNeedsTLS
	}
	return nil
}

// mechanisms returns the SASL mechanisms that this connection may use.
func (n *session) mechanisms() []string {
	return auth.Mechanisms(n.authenticator(), n.gate.sasl, n.credentials())
}

// credentials returns what is known of the connection.
func (n *session) credentials() auth.Credentials {
	return auth.Credentials{
		Service: "pop3", Remote: n.remote(), Secure: n.secure(), Clear: n.allowsLogin(), TLS: n.conn.TLS(),
	}
}

// loginFailed counts a failed login, slows the client down, and returns what
// it may know (RFC 2449 §8, RFC 3206): missing, disabled and wrong look the same.
func (n *session) loginFailed(ctx context.Context, user string, err error) error {
	level, text := slog.LevelWarn, "[SYS/TEMP] Temporary failure, please try again later"
	switch {
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		level, text = slog.LevelInfo, "[AUTH] Authentication failed"
	case errors.Is(err, auth.ErrTooMany):
		level, text = slog.LevelInfo, "[SYS/TEMP] Too many failed attempts, please try again later"
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	}
	told, refused := n.refusal(err)
	if refused {
		text = told
	}
	if level == slog.LevelInfo {
		n.log(ctx, level, "login failed", "login", user, "err", err)
	} else {
		n.log(ctx, level, "login not possible", "login", user, "err", err)
	}
	if refused && !errors.Is(err, auth.ErrBadCredentials) {
		return refuse(text) // not a guess: the password was good
	}
	_ = n.conn.Flush() // answers to what was pipelined need not wait
	if !n.guard.Failed(ctx) {
		return farewell(text)
	}
	return refuse(text)
}

// login lets in who has proved to be somebody.
func (n *session) login(ctx context.Context, id auth.Identity) error {
	return n.gate.behind.enter(ctx, n, id)
}

func (s *Server) authenticator(*session) auth.Authenticator { return s.Auth }

// enter opens his maildrop: the session enters the TRANSACTION state.
func (s *Server) enter(ctx context.Context, n *session, id auth.Identity) error {
	if !s.drops.enter(id.User, n.limits.Sessions) {
		n.log(ctx, slog.LevelInfo, "maildrop is in use", "login", id.User)
		return refuse("[IN-USE] The maildrop is open in another session")
	}
	drop, err := s.openMaildrop(ctx, n, id.User)
	if err != nil {
		s.drops.leave(id.User)
		if errors.Is(err, storage.ErrFrozen) {
			n.log(ctx, slog.LevelInfo, "account is being moved", "login", id.User)
			return refuse("[SYS/TEMP] The account is being moved, please try again later")
		}
		return err
	}
	n.drop = drop
	n.conn.SetIdleTimeout(s.Timeouts.idle())
	n.log(ctx, slog.LevelInfo, "logged in", "messages", len(drop.messages), "tls", n.secure())
	n.okf("Maildrop has %s", drop.total())
	return nil
}
