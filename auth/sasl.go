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
	mech  Mechanism // nil when the exchange is over
	id    Identity
}

// NewExchange begins an exchange with a mechanism named in any letter case.
// The credentials say what is known of the connection; the exchange fills in
// the rest. ErrMechanism when the mechanism is none that Mechanisms knows for
// any connection, ErrNeedsTLS when it is one of a secure connection only.
func NewExchange(ctx context.Context, name string, a Authenticator, p Policy, c Credentials) (*Exchange, error) {
	kind, err := p.find(name, a, c)
	if err != nil {
		return nil, err
	}
	c.Mechanism = kind.Name
	return &Exchange{ctx: ctx, check: a, creds: c, mech: kind.Begin()}, nil
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
		return nil, false, e.fail(malformed("response too long"))
	}
	challenge, done, err = e.mech.Next(e, response)
	switch {
	case err != nil:
		return nil, false, e.fail(ofKind(err))
	case done && e.id == (Identity{}):
		return nil, false, e.fail(fmt.Errorf("%w: %s ended without a check", ErrUnavailable, e.creds.Mechanism))
	case done:
		e.end()
	}
	return challenge, done, nil
}

// fail ends the exchange without an identity.
func (e *Exchange) fail(err error) error {
	e.end()
	e.id = Identity{}
	return err
}

func (e *Exchange) end() { e.mech, e.creds.Password, e.creds.Proof = nil, "", nil }

// Identity returns who was authenticated, once Next has said done; before
// that, and after an error, it is the zero Identity.
func (e *Exchange) Identity() Identity {
	if e.mech != nil {
		return Identity{} // a last message is still to be exchanged
	}
	return e.id
}

// User returns the name that the client has given so far, for logs. It proves
// nothing.
func (e *Exchange) User() string { return e.creds.User }

// Context is what a Mechanism waits with.
func (e *Exchange) Context() context.Context { return e.ctx }

// Authenticator is who decides, for a Mechanism that needs one of its powers.
func (e *Exchange) Authenticator() Authenticator { return e.check }

// Credentials are what is known so far, for a Mechanism: the connection, and
// the user once he was named.
func (e *Exchange) Credentials() Credentials { return e.creds }

// SetUser notes whom the client names, before he has proved anything. Names
// that no account can have are refused.
func (e *Exchange) SetUser(user string) error {
	if user == "" || len(user) > maxWord || !cleanName(user) {
		return malformed("a name is not text, or too long")
	}
	e.creds.User = user
	return nil
}

// CheckPassword asks the Authenticator about the user's password.
// authzID may be empty.
func (e *Exchange) CheckPassword(authzID, password string) error {
	switch {
	case password == "" || strings.IndexByte(password, 0) >= 0:
		return malformed("a password is empty or holds NUL")
	case len(password) > maxPassword:
		return malformed("a password is too long")
	}
	e.creds.Password = password
	return e.ask(authzID)
}

// CheckProof asks the Authenticator about what was shown instead of a
// password. authzID may be empty.
func (e *Exchange) CheckProof(authzID string, p Proof) error {
	e.creds.Proof = p
	return e.ask(authzID)
}

// Bounds of what a client may send. RFC 4616 §2 asks for 255 octets a word at
// least; tickets of Active Directory and tokens are the longest that are honest.
const (
	maxWord     = 1024
	maxResponse = 12 << 10
)

// ask asks the Authenticator, once the credentials are complete.
func (e *Exchange) ask(authzID string) error {
	if len(authzID) > maxWord || !cleanName(authzID) {
		return malformed("an authorization identity is not text, or too long")
	}
	c := e.creds
	delegator, delegates := As[Delegator](e.check)
	other := authzID != "" && authzID != c.User && c.User != ""
	if other && accountName(e.ctx, e.check, authzID) == accountName(e.ctx, e.check, c.User) {
		other = false
	}
	if other && !delegates {
		return fmt.Errorf("%w: nobody acts for somebody else", ErrBadCredentials)
	}
	if !other {
		c.AuthzID = authzID
	}
	id, err := e.check.Authenticate(e.ctx, c)
	if err == nil && other {
		id, err = delegator.ActFor(e.ctx, id, authzID)
	}
	if err == nil && id == (Identity{}) {
		err = fmt.Errorf("%w: nobody was named", ErrUnavailable)
	}
	if err != nil {
		return err
	}
	e.id = id
	return nil
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
