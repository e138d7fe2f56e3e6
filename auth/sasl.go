package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Exchange is the server's side of one SASL authentication (RFC 4422). It is
// a sasl.Server that also tells who was authenticated. It serves one client
// and one goroutine.
type Exchange struct {
	ctx   context.Context
	check Authenticator
	creds Credentials
	mech  mechanism // nil when the exchange is over
	id    Identity
}

// mechanism is one SASL mechanism's dialogue: it fills in the credentials.
// A response is nil when the client sent none, which is not the same as an
// empty one. When done, the exchange has its identity.
type mechanism interface {
	next(e *Exchange, response []byte) (challenge []byte, done bool, err error)
}

// mechanismKind is a line of the table of mechanisms.
type mechanismKind struct {
	name    string
	offered func(a Authenticator) bool
	begin   func() mechanism
}

// mechanisms returns the table, strongest first. Another mechanism is another
// line, which asks As for the power that it needs (SecretSource for SCRAM).
func mechanisms() []mechanismKind {
	return []mechanismKind{
		{"PLAIN", takesPasswords, func() mechanism { return plain{} }},
		{"LOGIN", takesPasswords, func() mechanism { return &login{} }},
	}
}

// takesPasswords is true of every Authenticator.
func takesPasswords(a Authenticator) bool { return a != nil }

// Mechanisms returns the names of the SASL mechanisms that NewExchange offers
// with this Authenticator, strongest first; none without an Authenticator.
// Whether a connection is secure enough for one of them is the caller's to
// decide: all that are here send the password as it is.
func Mechanisms(a Authenticator) []string {
	var names []string
	for _, m := range mechanisms() {
		if m.offered(a) {
			names = append(names, m.name)
		}
	}
	return names
}

// NewExchange begins an exchange with a mechanism named in any letter case.
// It returns false when the mechanism is not one of Mechanisms(a). The
// credentials say what is known of the connection; the exchange fills in the rest.
func NewExchange(ctx context.Context, name string, a Authenticator, c Credentials) (*Exchange, bool) {
	for _, m := range mechanisms() {
		if strings.EqualFold(m.name, name) && m.offered(a) {
			return &Exchange{ctx: ctx, check: a, creds: c, mech: m.begin()}, true
		}
	}
	return nil, false
}

// Next takes the client's response (nil when it sent none yet) and returns
// the next challenge, or done. Errors are of the kinds of this package; a
// malformed response is ErrBadCredentials. After an error, or when done, the
// exchange is over, and each further call fails.
func (e *Exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if e.mech == nil {
		return nil, false, malformed("response after the end")
	}
	if len(response) > maxResponse {
		e.mech = nil
		return nil, false, malformed("response too long")
	}
	challenge, done, err = e.mech.next(e, response)
	if done || err != nil {
		e.mech, e.creds.Password = nil, ""
	}
	return challenge, done, err
}

// Identity returns who was authenticated, once Next has said done; before
// that, and after an error, it is the zero Identity.
func (e *Exchange) Identity() Identity { return e.id }

// User returns the name that the client has given so far, for logs. It proves
// nothing.
func (e *Exchange) User() string { return e.creds.User }

// Bounds of what a client may send. RFC 4616 §2 asks for 255 octets a word at
// least.
const (
	maxWord     = 1024
	maxResponse = 3*maxWord + 2
)

// finish asks the Authenticator, once the credentials are complete.
func (e *Exchange) finish() (challenge []byte, done bool, err error) {
	c := e.creds
	if c.AuthzID != "" && c.AuthzID != c.User {
		return nil, false, fmt.Errorf("%w: nobody acts for somebody else", ErrBadCredentials)
	}
	if e.id, err = e.check.Authenticate(e.ctx, c); err != nil {
		e.id = Identity{}
		return nil, false, ofKind(err)
	}
	return nil, true, nil
}

// ofKind makes any other error one of kind ErrUnavailable.
func ofKind(err error) error {
	for _, kind := range []error{ErrBadCredentials, ErrUnavailable, ErrDisabled, ErrNeedsTLS, ErrTooMany} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func malformed(why string) error { return fmt.Errorf("%w: malformed: %s", ErrBadCredentials, why) }

// checkWords refuses users and passwords that no account can have.
func checkWords(c *Credentials) error {
	switch {
	case c.User == "" || c.Password == "":
		return malformed("a word is missing")
	case len(c.User) > maxWord || len(c.Password) > maxWord || len(c.AuthzID) > maxWord:
		return malformed("a word is too long")
	case !cleanName(c.User) || !cleanName(c.AuthzID):
		return malformed("a name is not text")
	case strings.IndexByte(c.Password, 0) >= 0:
		return malformed("a password holds NUL")
	}
	return nil
}
