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

	policy  Policy
	flags   MechanismFlags
	begun   bool  // the client's first response was taken
	refused error // of the Authenticator, while the client has yet to be told
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
	return &Exchange{ctx: ctx, check: a, creds: c, mech: kind.Begin(), policy: p, flags: kind.Flags}, nil
}

// Next takes the client's response (nil when it sent none yet) and returns
// the next challenge, or done. Errors are of the kinds of this package; a
// malformed response is ErrBadCredentials, and ErrInitialResponse too when it
// came at a time when the server speaks first. After an error, or when done, the
// exchange is over, and each further call fails.
func (e *Exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if e.mech == nil {
		return nil, false, malformed("response after the end")
	}
	if len(response) > maxResponse {
		return nil, false, e.fail(malformed("response too long"))
	}
	if !e.begun && response != nil && e.flags&ServerFirst != 0 {
		return nil, false, e.fail(ErrInitialResponse)
	}
	e.begun = true
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

// Refused returns the error with which the Authenticator has ended the
// exchange, also while the mechanism lets the client say one thing more before
// it fails, as OAUTHBEARER does. Nil when it has not.
func (e *Exchange) Refused() error { return e.refused }

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
	maxResponse = 16 << 10
)

// ask asks the Authenticator, once the credentials are complete.
func (e *Exchange) ask(authzID string) error {
	if len(authzID) > maxWord || !cleanName(authzID) {
		return malformed("an authorization identity is not text, or too long")
	}
	c := e.creds
	delegator, delegates := As[Delegator](e.check)
	other := authzID != "" && authzID != c.User && (c.User != "" || delegates)
	if other && c.User != "" && e.accountName(authzID) == e.accountName(c.User) {
		other = false
	}
	if other && !delegates {
		return fmt.Errorf("%w: nobody acts for somebody else", ErrBadCredentials)
	}
	if c.Acting = other; !other {
		c.AuthzID = authzID
	}
	id, err := e.check.Authenticate(e.ctx, c)
	if err == nil && other && e.accountName(authzID) != id.User { // a Proof may tell only now who it is
		id, err = delegator.ActFor(e.ctx, id, authzID)
	}
	if err == nil && id == (Identity{}) {
		err = fmt.Errorf("%w: nobody was named", ErrUnavailable)
	}
	if err != nil {
		e.refused = ofKind(err)
		return err
	}
	e.id = id
	return nil
}

func (e *Exchange) accountName(login string) string { return accountName(e.ctx, e.check, login) }

// checkResponse is CheckProof for mechanisms of challenge and response. Who
// has no secret takes as long as somebody who has the one given.
func (e *Exchange) checkResponse(authzID string, r *Response, instead Secret) error {
	asked, fits := false, false
	watched := &Response{Scheme: r.Scheme, Check: func(s Secret) bool {
		asked, fits = true, r.Check(s)
		return fits
	}}
	err := e.CheckProof(authzID, watched)
	if err != nil && !asked {
		r.Check(instead)
	}
	if err == nil && !fits {
		return fmt.Errorf("%w: a response was accepted without a check", ErrUnavailable)
	}
	return err
}

// offers reports whether a mechanism may be used on this connection too.
func (e *Exchange) offers(name string) bool {
	_, err := e.policy.find(name, e.check, e.creds)
	return err == nil
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
