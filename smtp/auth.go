package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// maxAuthLine is the longest AUTH command with its CRLF (RFC 4954 §4).
const maxAuthLine = 12_288

var (
	errAuthTLS       = reply(538, 5, 7, 11, "Logging in needs TLS, say STARTTLS first")
	errMechanism     = reply(504, 5, 5, 4, "Unknown authentication mechanism")
	errCancelled     = reply(501, 5, 7, 0, "Authentication cancelled")
	errBase64        = reply(501, 5, 5, 2, "Not base64")
	errInitial       = reply(501, 5, 5, 4, "This mechanism takes no initial response")
	errAuthLine      = reply(500, 5, 5, 6, "Line too long")
	errLogin         = reply(535, 5, 7, 8, "Authentication failed")
	errAuthDown      = reply(454, 4, 7, 0, "Authentication is not available now, please try again later")
	errTooManyLogins = reply(421, 4, 7, 0, "Too many failed logins")
)

// mechanisms returns the SASL mechanisms that this connection may use.
func (c *conversation) mechanisms() []string {
	if c.RequireTLS && !c.facts.Secure() {
		return nil
	}
	return auth.Mechanisms(c.authenticator(), c.SASL, c.credentials())
}

// authenticator decides about logins: of a Proxy without one, the back ends do.
func (c *conversation) authenticator() auth.Authenticator {
	if c.proxy != nil {
		return c.proxy.authenticator(c)
	}
	return c.Auth
}

// credentials returns what is known of the connection.
func (c *conversation) credentials() auth.Credentials {
	peer := c.wire.Remote()
	return auth.Credentials{
		Service: c.Protocol.String(), Remote: c.told.Addr(peer), Peer: peer, Secure: c.facts.Secure(),
		Clear: c.PlainAuth != nil && c.PlainAuth(c.told.Allowed(peer)), TLS: c.facts.TLS,
	}
}

// auth answers AUTH (RFC 4954 §4).
func (c *conversation) auth(ctx context.Context, arg string) *mail.Reply {
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	switch {
	case c.Auth == nil && c.proxy == nil:
		return errNotHere
	case c.facts.Helo == "":
		return errEhloFirst
	case c.tx != nil:
		return errInTransaction
	case c.facts.User != "":
		return errTwice
	case mechanism == "" || strings.Contains(initial, " "):
		return errArgument
	}
	login := &login{Authenticator: c.authenticator()}
	exchange, err := auth.NewExchange(ctx, mechanism, login, c.SASL, c.credentials())
	switch {
	case errors.Is(err, auth.ErrNeedsTLS):
		return errAuthTLS
	case err != nil:
		return errMechanism
	}
	var response []byte
	if hasInitial {
		response = []byte(initial)
	}
	identity, err := front.RunSASL(c.wire, "334 ", exchange, response)
	if err != nil {
		return c.authFailed(ctx, login, err)
	}
	if c.proxy != nil {
		if err := c.proxy.enter(ctx, c, identity); err != nil {
			return c.authFailed(ctx, login, err)
		}
	}
	c.facts.User = identity.User
	c.told.Seal()
	c.logLogin(ctx)
	return replyAuth
}

// login watches one attempt: what was shown, and whether it got as far as a
// check.
type login struct {
	auth.Authenticator
	creds auth.Credentials
	asked bool
}

// Authenticate notes what it is asked.
func (l *login) Authenticate(ctx context.Context, creds auth.Credentials) (auth.Identity, error) {
	l.creds, l.asked = creds, true
	return l.Authenticator.Authenticate(ctx, creds)
}

// Unwrap keeps the optional powers of the Authenticator.
func (l *login) Unwrap() auth.Authenticator { return l.Authenticator }

func (c *conversation) authFailed(ctx context.Context, l *login, err error) *mail.Reply {
	switch {
	case errors.Is(err, front.ErrCancelled):
		return errCancelled
	case errors.Is(err, front.ErrBadBase64):
		return errBase64
	case errors.Is(err, auth.ErrInitialResponse):
		return errInitial
	case errors.Is(err, wire.ErrLineTooLong) && !front.OfAuthenticator(err):
		return c.lastWord(errAuthLine)
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		return c.loginFailed(ctx, l, err)
	case errors.Is(err, auth.ErrTooMany):
		c.facts.AuthFailures++
		c.logLoginFailed(ctx, l, err)
		return c.lastWord(errTooManyLogins)
	case errors.Is(err, auth.ErrNeedsTLS):
		return errAuthTLS.Because(err)
	case !l.asked && lost(err):
		c.readFailed(ctx, err)
		return nil
	}
	c.logLoginFailed(ctx, l, err)
	return errAuthDown.Because(err)
}

func (c *conversation) loginFailed(ctx context.Context, l *login, err error) *mail.Reply {
	c.facts.AuthFailures++
	c.logLoginFailed(ctx, l, err)
	if c.guard.Failed(ctx) {
		return errLogin.Because(err)
	}
	c.say(errLogin)
	return c.lastWord(errTooManyLogins)
}

// lost reports whether err ended the connection.
func lost(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, wire.ErrInterrupted) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network)
}
