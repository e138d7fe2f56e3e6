package pop3

import (
	"context"
	"errors"
	"log/slog"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
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
		Service: "pop3", Remote: n.remote(), Peer: n.conn.Remote(), Secure: n.secure(), Clear: n.allowsLogin(), TLS: n.conn.TLS(),
	}
}

// loginFailed logs a failed login and returns what the client may know. A guess
// is counted and slows the client down; missing, disabled and wrong look the
// same (RFC 2449 §8, RFC 3206).
func (n *session) loginFailed(ctx context.Context, user string, err error) error {
	text := "[SYS/TEMP] Temporary failure, please try again later"
	switch {
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		text = "[AUTH] Authentication failed"
	case errors.Is(err, auth.ErrTooMany):
		text = "[SYS/TEMP] Too many failed attempts, please try again later"
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	}
	if told, refused := n.refusal(err); refused {
		text = told
	}
	front.LogFailed(ctx, n.gate.logger, front.Login{
		Service: "pop3", Remote: n.remote().String(), User: user, Session: n.id, Told: n.told,
	}, err)
	if !front.IsGuess(err) {
		return refuse(text)
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
