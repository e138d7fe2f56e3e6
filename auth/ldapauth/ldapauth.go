// Package ldapauth authenticates against an LDAP directory: by a bind with the
// user's own password, or by comparing it with what his entry holds.
//
// Invariants of this package:
//
//   - An empty password never reaches a bind (RFC 4513 §5.1.2), nor does one
//     with NUL in it, and nobody logs in to an entry without a password.
//   - A directory that can't answer, a referral, a limit that was hit and
//     several entries for one user are auth.ErrUnavailable, never a wrong
//     password.
//   - Missing, disabled and wrong-password users cost the same: a bind for each
//     in mode Bind, a hash in mode Compare. How long a server takes for a bind
//     is its own affair, and where hashes are of several kinds each takes its time.
package ldapauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/seldom"
)

// maxPassword bounds a password, in octets.
const maxPassword = 1024

// Directory is what is asked. An *ldap.Connector is one.
type Directory interface {
	Lookup(ctx context.Context, user string, attributes ...string) (*ldap.Entry, error)
	Bind(ctx context.Context, dn, password string) error
	Member(ctx context.Context, e *ldap.Entry, group string) (path []string, err error)
	Config() ldap.Config
}

// Mode says how passwords are checked.
type Mode int

// The two modes.
const (
	Bind    Mode = iota // the server checks them: a bind as the user's entry
	Compare             // we do: with the values of ldap.Attributes.Password, which whom the connector binds as may read
)

// Options adjust an Authenticator. A zero field means what its comment says.
type Options struct {
	Mode Mode

	// Secrets are kinds of secrets that entries hold where the connector may
	// read them, in mode Compare: auth.ClearSecrets for passwords in clear text,
	// auth.SCRAMSHA256Secrets and auth.SCRAMSHA1Secrets for those. They are what
	// challenge-response mechanisms need. 0: there are none, and what is stored
	// in clear text is no password.
	Secrets auth.Kinds
	// SCRAMAttribute holds secrets as RFC 5803 writes them,
	// "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", where the password
	// attribute does not; empty: authPassword.
	SCRAMAttribute string
	AllowWeak      bool // as in auth.Verifier: {MD5} and the like

	// Realms are the Kerberos realms whose tickets are good here, each with
	// the domain in which their principals are looked up: "alice" of
	// EXAMPLE.TEST is alice@example.test where it says so. Empty: no tickets.
	Realms map[string]string

	Logger   *slog.Logger  // of entries that nobody can log in to; nil: slog.Default
	Interval time.Duration // how often one reason is logged at most; 0: one minute
}

// Authenticator checks credentials against entries. It has the powers
// auth.Namer, auth.Prover and auth.SecretSource. A user is looked up as he
// writes himself, and then without a sub-address "+tag". Where
// ldap.Groups.Required names a group, nobody logs in who is not in it.
//
// Identity.User is ldap.Config.AccountName.
type Authenticator struct {
	directory Directory
	config    ldap.Config
	o         Options
	verifier  auth.Verifier
	log       *seldom.Logger
	sample    atomic.Pointer[string] // a value that a password fitted, see verifyNothing
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Namer         = (*Authenticator)(nil)
	_ auth.Prover        = (*Authenticator)(nil)
	_ auth.SecretSource  = (*Authenticator)(nil)
)

// New returns an Authenticator.
func New(d Directory, o Options) *Authenticator {
	if o.SCRAMAttribute == "" {
		o.SCRAMAttribute = "authPassword"
	}
	return &Authenticator{
		directory: d, config: d.Config(), o: o, log: seldom.New(o.Logger, o.Interval),
		verifier: auth.Verifier{AllowWeak: o.AllowWeak, AllowClear: o.Secrets&auth.ClearSecrets != 0},
	}
}

// Authenticate checks a password, a Response in mode Compare, or a Ticket of
// one of Realms. ErrBadCredentials, ErrUnavailable; ErrDisabled when the
// password is right and the account is closed.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	user, err := a.userOf(c)
	if err != nil {
		return auth.Identity{}, err
	}
	entry, err := a.find(ctx, user)
	switch {
	case errors.Is(err, ldap.ErrNoEntry):
		return auth.Identity{}, a.refuse(ctx, c)
	case err != nil:
		return auth.Identity{}, unavailable(err)
	}
	if err := a.check(ctx, entry, c); err != nil {
		return auth.Identity{}, err
	}
	if err := a.admit(ctx, entry); err != nil {
		return auth.Identity{}, err
	}
	if err := a.authorize(ctx, entry, user, c.AuthzID); err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: a.config.AccountName(entry, user)}, nil
}

// userOf returns whom to look up for credentials.
func (a *Authenticator) userOf(c auth.Credentials) (string, error) {
	switch p := c.Proof.(type) {
	case nil:
		// Some servers read up to a NUL: then one at the beginning is an empty
		// password too.
		if c.Password == "" || len(c.Password) > maxPassword || strings.IndexByte(c.Password, 0) >= 0 {
			return "", fmt.Errorf("%w: a password is empty, too long, or holds NUL", auth.ErrBadCredentials)
		}
	case auth.Ticket:
		return a.principal(p)
	case *auth.Response:
		if a.o.Mode != Compare || p.Check == nil || auth.KindOfSecret(p.Scheme) == 0 {
			return "", fmt.Errorf("%w: a response of scheme %.40q is not checked here", auth.ErrBadCredentials, p.Scheme)
		}
	default:
		return "", fmt.Errorf("%w: a proof of a kind that is not checked here", auth.ErrBadCredentials)
	}
	return c.User, nil
}

// principal returns whom a Kerberos principal means. Services, as "imap/host",
// are nobody, and "alice+x" is another principal than alice.
func (a *Authenticator) principal(t auth.Ticket) (string, error) {
	domain, ok := a.o.Realms[t.Realm]
	if !ok || t.Name == "" || strings.ContainsAny(t.Name, "/@+") {
		return "", fmt.Errorf("%w: the principal %.80q of %.80q is nobody here", auth.ErrBadCredentials, t.Name, t.Realm)
	}
	return t.Name + "@" + domain, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", auth.ErrUnavailable, err) }
