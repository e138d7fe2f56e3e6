// Package auth answers who somebody is: it checks credentials, and runs the
// SASL exchanges that carry them.
//
// Invariants of this package:
//
//   - A wrong password and a broken directory are never confused:
//     ErrBadCredentials is permanent, ErrUnavailable is "ask again later".
//   - Missing, disabled and wrong-password users get the same answer in about
//     the same time.
//   - Passwords are in no log line, no error and no String method.
package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"github.com/posthouse-mail/posthouse/internal/power"
)

// Authenticator checks credentials.
type Authenticator interface {
	// Authenticate returns the identity that the credentials prove. Failures
	// are of the kinds below; any other error counts as ErrUnavailable. An
	// empty password proves nothing, whatever a directory says of it, and
	// neither does a Proof of a kind that the Authenticator does not know.
	Authenticate(ctx context.Context, c Credentials) (Identity, error)
}

// AuthenticatorFunc lets a function be an Authenticator.
type AuthenticatorFunc func(ctx context.Context, c Credentials) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, c Credentials) (Identity, error) {
	return f(ctx, c)
}

// As finds an optional power T of an Authenticator, through wrappers that
// have a method Unwrap() Authenticator.
func As[T any](a Authenticator) (T, bool) { return power.Of[T](a) }

// Kinds of failure. Test with errors.Is.
var (
	ErrBadCredentials  = errors.New("authentication failed")           // wrong, missing or unknown: the client learns no more
	ErrUnavailable     = errors.New("authentication is not available") // ask again later
	ErrDisabled        = errors.New("account is disabled")             // shown to the client as ErrBadCredentials
	ErrNeedsTLS        = errors.New("a secure connection is required")
	ErrTooMany         = errors.New("too many failed attempts")
	ErrInitialResponse = fmt.Errorf("%w: this mechanism takes no initial response", ErrBadCredentials)
	ErrMechanism       = errors.New("unknown authentication mechanism") // of NewExchange alone
)

// Credentials are what a client showed, with what is known of its connection.
type Credentials struct {
	Service   string               // "smtp", "submission", "imap", "pop3", …
	Remote    netip.Addr           // the client's address
	Peer      netip.Addr           // who is connected: the client, or a front end that tells of it; the zero Addr: not known
	Secure    bool                 // the connection is encrypted
	Clear     bool                 // passwords may be shown even where it is not
	TLS       *tls.ConnectionState `json:"-"` // of the connection, for channel binding and client certificates; nil: not known, or no TLS
	Mechanism string               // the SASL mechanism; empty for the login command of a protocol
	User      string               // authentication identity, as the client wrote it; may be empty with a Proof that names somebody
	Password  string               `json:"-"`
	Proof     Proof                `json:"-"` // what was shown instead of a password; nil: the password
	AuthzID   string               // authorization identity; empty means User. An Authenticator that gives nobody such a right refuses any other
	Acting    bool                 // the authorization identity is another user's, for whom a Delegator is asked behind this
}

// Identity is who somebody proved to be.
type Identity struct {
	User string // the account's name in storage and directory, normal form
}
