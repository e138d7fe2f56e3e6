package auth

import (
	"context"
)

// Exchange is the server's side of one SASL authentication (RFC 4422). It is
// a sasl.Server that also tells who was authenticated.
type Exchange struct {
	ctx   context.Context
	check Authenticator
	creds Credentials
	mech  mechanism
	id    Identity
}

// mechanism is one SASL mechanism's dialogue: it fills in the credentials.
type mechanism interface {
	next(e *Exchange, response []byte) (challenge []byte, done bool, err error)
}

// Mechanisms returns the names of the SASL mechanisms that NewExchange offers
// with this Authenticator, strongest first.
func Mechanisms(a Authenticator) []string { return []string{"PLAIN", "LOGIN"} }

// NewExchange begins an exchange with a mechanism named in any letter case.
// It returns false when the mechanism is not one of Mechanisms(a). The
// credentials say what is known of the connection; the exchange fills in the rest.
func NewExchange(ctx context.Context, name string, a Authenticator, c Credentials) (*Exchange, bool) {
	return nil, false
}

// Next takes the client's response (nil when it sent none yet) and returns
// the next challenge, or done. Errors are of the kinds of this package.
func (e *Exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	return e.mech.next(e, response)
}

// Identity returns who was authenticated, once Next has said done.
func (e *Exchange) Identity() Identity { return e.id }
