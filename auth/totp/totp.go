// Package totp asks for a second factor: a code that an app on the user's
// phone makes from a shared key and the time (TOTP, RFC 6238).
//
// IMAP, POP3 and SMTP have no field for a code, so that it is appended to the
// password: "password123456". Each code is good for one login, and such
// programs log in again and again: they are better served with app passwords
// (package auth/apppassword), whose Guard refuses the main password altogether
// where Authenticator.Enabled says so.
//
// Invariants of this package:
//
//   - A code is good within one time step before and after its own, once; then
//     neither it nor an earlier one is good again, for as long as the process
//     runs. A recovery code is good once for ever.
//   - A wrong, used or missing code is a wrong password
//     (auth.ErrBadCredentials), in time and in text, so that a throttle counts it.
//   - Who needs a code is decided by the account that the password proved, not
//     by the spelling of a login.
//   - Keys and codes are in no log, no error and no String method.
package totp

import (
	"context"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
)

// Policy says whether a user needs a second factor.
type Policy int

// The policies.
const (
	Inherit   Policy = iota // Options.Policy; there: Optional
	Disabled                // no code is asked for, whatever was set up
	Optional                // asked for when the user has set it up
	Mandatory               // likewise, and who has not set it up can't log in with his password
)

// Store keeps the second factors of users. Users are named as in auth.Identity.
type Store interface {
	// Factor returns what a user has; the zero Factor when he has nothing or
	// does not exist. Every error is a failure of the store.
	Factor(ctx context.Context, user string) (Factor, error)
	// Spend takes one of Factor.Recovery away, durably, and reports whether it
	// was still there: of two that spend the same, one gets true.
	Spend(ctx context.Context, user, hash string) (bool, error)
}

// Options adjust an Authenticator. A zero field means what its comment says.
type Options struct {
	Policy Policy // of users whose own is Inherit; Inherit: Optional
	Size   int    // users whose last code is remembered, for a minute and a half; 0: 65,536
}

// Authenticator asks another one about the password, and then for the code. A
// proof that is made from the password without a place for a code, as SCRAM's,
// is refused where a code is needed; tokens, certificates and tickets, whose
// issuers asked for what they want, go by. It is safe for concurrent use.
//
// Put it around an auth.Cache, not into one, which would let a code in again,
// and into an auth.Throttle. The clock is the system's.
type Authenticator struct {
	next   auth.Authenticator
	store  Store
	policy Policy
	used   *used
}

var _ auth.Authenticator = (*Authenticator)(nil)

// New returns an Authenticator around next.
func New(next auth.Authenticator, s Store, o Options) *Authenticator {
	if o.Policy == Inherit {
		o.Policy = Optional
	}
	if o.Size == 0 {
		o.Size = 65_536
	}
	return &Authenticator{next: next, store: s, policy: o.Policy, used: newUsed(o.Size)}
}

// Unwrap returns the Authenticator that is asked about the password.
func (a *Authenticator) Unwrap() auth.Authenticator { return a.next }

// Authenticate checks a password with the code, or a recovery code as it was
// shown, appended.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	switch c.Proof.(type) {
	case nil:
		return a.password(ctx, c)
	case auth.Token, *auth.Certificate, auth.Ticket:
		return a.next.Authenticate(ctx, c)
	}
	id, err := a.next.Authenticate(ctx, c)
	if err == nil {
		err = a.Verify(ctx, id.User, "")
	}
	return only(id, err)
}

// password checks a password with what is appended to it.
func (a *Authenticator) password(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	name := a.accountName(ctx, c.User)
	f, err := a.factor(ctx, name)
	if err != nil {
		return auth.Identity{}, err
	}
	code := ""
	if f.on() {
		c.Password, code = f.cut(c.Password) // without a code it is asked about as it is, to take as long
	}
	id, err := a.next.Authenticate(ctx, c)
	if err != nil {
		return auth.Identity{}, err
	}
	if id.User != name {
		if f, err = a.factor(ctx, id.User); err != nil {
			return auth.Identity{}, err
		}
	}
	return only(id, a.check(ctx, id.User, f, code))
}

// Verify checks the code of a user, named as in auth.Identity, for services
// that have a field for it and have checked the password. It may be a recovery
// code; empty is good where none is needed. auth.ErrBadCredentials,
// auth.ErrUnavailable. The caller counts failures.
func (a *Authenticator) Verify(ctx context.Context, user, code string) error {
	f, err := a.factor(ctx, user)
	if err != nil {
		return err
	}
	return a.check(ctx, user, f, code)
}

// Enabled reports whether a user, named as in auth.Identity, is asked for a
// code. It can be the Rule of an apppassword.Guard.
func (a *Authenticator) Enabled(ctx context.Context, user string) (bool, error) {
	f, err := a.factor(ctx, user)
	return f.on() || f.Policy == Mandatory, err
}

// factor returns what a user has, with the policy that counts.
func (a *Authenticator) factor(ctx context.Context, user string) (Factor, error) {
	f, err := a.store.Factor(ctx, user)
	if err != nil {
		return Factor{}, fmt.Errorf("%w: second factor: %w", auth.ErrUnavailable, err)
	}
	if f.Key != nil {
		if err := f.Key.Check(); err != nil {
			return Factor{}, fmt.Errorf("%w: of user %q: %w", auth.ErrUnavailable, user, err)
		}
	}
	if f.Policy == Inherit {
		f.Policy = a.policy
	}
	return f, nil
}

// check decides about a code once the password is right.
func (a *Authenticator) check(ctx context.Context, user string, f Factor, code string) error {
	switch {
	case !f.on() && f.Policy == Mandatory:
		return bad("the second factor is not set up")
	case !f.on() && code == "":
		return nil
	case !f.on():
		return bad("a code that was not asked for")
	case code == "":
		return bad("no code")
	}
	if step, ok := f.Key.Verify(code, time.Now()); ok {
		return a.used.use(user, step, f.Key.end(step))
	}
	hash, ok := f.recovery(code)
	if !ok {
		return bad("a wrong code")
	}
	switch spent, err := a.store.Spend(ctx, user, hash); {
	case err != nil:
		return fmt.Errorf("%w: second factor: %w", auth.ErrUnavailable, err)
	case !spent:
		return bad("a recovery code that was used")
	}
	return nil
}

// accountName returns the account that a login probably means.
func (a *Authenticator) accountName(ctx context.Context, login string) string {
	if n, ok := auth.As[auth.Namer](a.next); ok {
		if name, err := n.AccountName(ctx, login); err == nil {
			return name
		}
	}
	return auth.NormalName(login)
}

// only returns an identity when there is no error.
func only(id auth.Identity, err error) (auth.Identity, error) {
	if err != nil {
		return auth.Identity{}, err
	}
	return id, nil
}

func bad(why string) error { return fmt.Errorf("%w: %s", auth.ErrBadCredentials, why) }
