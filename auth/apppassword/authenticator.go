package apppassword

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/internal/account"
	"github.com/posthouse-mail/posthouse/auth/internal/secret"
	"github.com/posthouse-mail/posthouse/directory"
)

// Store keeps the app passwords of users.
type Store interface {
	// List returns the app passwords of a user, named as in auth.Identity, in
	// any order; none when he has none or does not exist. Every error is a
	// failure of the store.
	List(ctx context.Context, user string) ([]AppPassword, error)
}

// Options adjust an Authenticator. A zero field means what its comment says.
type Options struct {
	// Accounts knows which account a login means, and who is disabled; nil: it
	// is auth.NormalName of the login.
	Accounts directory.Accounts
	// Used is told of each success. It is called in the login and must not
	// wait: File.Used does not. Nil: nobody is told.
	Used func(user, id string, at time.Time)
}

// Authenticator checks app passwords and nothing else: any other password, or
// an auth.Proof, is auth.ErrBadCredentials. Put it before those that know main
// passwords, and not into an auth.Cache, which does not look at networks. It
// has the power auth.Namer, and is safe for concurrent use.
type Authenticator struct {
	store    Store
	accounts account.Resolver
	used     func(user, id string, at time.Time)
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Namer         = (*Authenticator)(nil)
)

// NewAuthenticator returns an Authenticator over a store.
func NewAuthenticator(s Store, o Options) *Authenticator {
	if o.Used == nil {
		o.Used = func(string, string, time.Time) {}
	}
	return &Authenticator{store: s, accounts: account.Resolver{Accounts: o.Accounts}, used: o.Used}
}

// dummyHash is checked where there is no app password of an ID.
var dummyHash = sync.OnceValue(func() string { return secret.Hash("no app password") })

// Authenticate checks an app password. A password of another form is refused
// before anything is looked up.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	id, letters, ok := split(c.Password)
	if c.Proof != nil || !ok {
		return auth.Identity{}, fmt.Errorf("%w: not an app password", auth.ErrBadCredentials)
	}
	of, err := a.accounts.Find(ctx, c.User)
	unknown := errors.Is(err, auth.ErrBadCredentials)
	if err != nil && !unknown {
		return auth.Identity{}, err
	}
	p := AppPassword{Hash: dummyHash()}
	if !unknown {
		if err := a.find(ctx, of.Name, id, &p); err != nil {
			return auth.Identity{}, err
		}
	}
	now := time.Now()
	if !secret.Matches(p.Hash, letters) || unknown || p.ID != id {
		return auth.Identity{}, fmt.Errorf("%w: no such app password", auth.ErrBadCredentials)
	}
	if why := p.allows(c.Service, c.Remote, now); why != "" {
		return auth.Identity{}, fmt.Errorf("%w: app password %s: %s", auth.ErrBadCredentials, p.ID, why)
	}
	identity, err := a.accounts.Admit(ctx, of, c.AuthzID)
	if err == nil {
		a.used(identity.User, p.ID, now)
	}
	return identity, err
}

// find looks an app password up, and leaves p as it is when there is none.
func (a *Authenticator) find(ctx context.Context, user, id string, p *AppPassword) error {
	all, err := a.store.List(ctx, user)
	if err != nil {
		return fmt.Errorf("%w: app passwords: %w", auth.ErrUnavailable, err)
	}
	for _, one := range all {
		if one.ID == id {
			*p = one
		}
	}
	return nil
}

// AccountName returns the account that a login means.
func (a *Authenticator) AccountName(ctx context.Context, login string) (string, error) {
	return a.accounts.Name(ctx, login)
}
