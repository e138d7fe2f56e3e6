package pop3

import (
	"errors"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
)

// mayAuthenticate reports whether this client may send a password now.
func (sn *session) mayAuthenticate() bool {
	if sn.server.Auth == nil {
		return false
	}
	return sn.conn.TLS() != nil || sn.server.PlainAuth != nil && sn.server.PlainAuth(sn.conn.Remote())
}

func (sn *session) requireSecure() error {
	if !sn.mayAuthenticate() {
		return wrong("[AUTH] Begin TLS before you log in")
	}
	return nil
}

// userName takes the user's name (RFC 1939 §7). Whether he exists shows with PASS only.
func (sn *session) userName(args string) error {
	if err := sn.requireSecure(); err != nil {
		return err
	}
	if args == "" {
		return wrong("USER needs a name")
	}
	sn.user = args
	sn.ok("Send PASS")
	return nil
}

// pass takes the password, spaces and all (RFC 1939 §7).
func (sn *session) pass(args string) error {
	if err := sn.requireSecure(); err != nil {
		return err
	}
	if sn.user == "" {
		return wrong("Send USER first")
	}
	c := sn.credentials()
	c.User, c.Password = sn.user, args
	sn.user = ""
	id, err := sn.server.Auth.Authenticate(sn.ctx, c)
	if err != nil {
		return sn.loginFailed(c.User, err)
	}
	return sn.open(id)
}

// auth runs a SASL exchange (RFC 5034).
func (sn *session) auth(args string) error {
	if err := sn.requireSecure(); err != nil {
		return err
	}
	if args == "" { // before CAPA existed, AUTH alone listed the mechanisms
		sn.ok("Mechanisms follow")
		_, _ = sn.conn.WriteString(strings.Join(auth.Mechanisms(sn.server.Auth), "\r\n") + "\r\n.\r\n")
		return nil
	}
	name, initial, given := strings.Cut(args, " ")
	e, ok := auth.NewExchange(sn.ctx, name, sn.server.Auth, sn.credentials())
	if !ok {
		return wrong("Unknown mechanism")
	}
	var response []byte
	if given {
		response = []byte(initial)
	}
	id, err := front.RunSASL(sn.conn, "+ ", e, response)
	if err != nil {
		return sn.loginFailed("", err)
	}
	return sn.open(id)
}

func (sn *session) credentials() auth.Credentials {
	return auth.Credentials{Service: "pop3", Remote: sn.conn.Remote(), Secure: sn.conn.TLS() != nil}
}

// loginFailed answers a failed login; missing, disabled and wrong look the same.
func (sn *session) loginFailed(user string, err error) error {
	switch {
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled), errors.Is(err, auth.ErrTooMany):
		sn.log.Warn("login failed", "user", user, "err", err)
		if !sn.guard.Failed(sn.ctx) {
			return &failure{text: "[AUTH] Too many failed logins", closes: true}
		}
		return refuse("[AUTH] Authentication failed")
	case errors.Is(err, auth.ErrNeedsTLS):
		return refuse("[AUTH] Begin TLS before you log in")
	case errors.Is(err, front.ErrCancelled):
		return refuse("Authentication cancelled")
	case errors.Is(err, front.ErrBadBase64):
		return wrong("Not base64")
	}
	sn.log.Error("authentication is not available", "user", user, "err", err)
	return refuse("[SYS/TEMP] Authentication is not available, please try again later")
}

// open opens the maildrop of an authenticated user.
func (sn *session) open(id auth.Identity) error {
	if !sn.server.drops.enter(id.User, sn.limits.Sessions) {
		return refuse("[IN-USE] The maildrop is open in another session")
	}
	drop, err := openMaildrop(sn.ctx, sn.server.Store, id.User)
	if err != nil {
		sn.server.drops.leave(id.User)
		return err
	}
	sn.drop = drop
	sn.log = sn.log.With("user", id.User)
	sn.log.Info("logged in", "messages", len(drop.messages), "tls", sn.conn.TLS() != nil)
	count, size := drop.totals()
	sn.ok("Maildrop has %d messages (%d octets)", count, size)
	return nil
}

// quitEarly ends a session that has not logged in.
func (sn *session) quitEarly(string) error {
	sn.ok("Goodbye")
	sn.quit = true
	return nil
}
