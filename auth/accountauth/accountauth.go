// Package accountauth authenticates against the accounts of a directory.
//
// Invariant of this package: a user who does not exist, one who is disabled
// and a wrong password take the same time.
package accountauth

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// maxLogin bounds a login name, in octets.
const maxLogin = 512

// Authenticator checks passwords against the hashes of accounts.
type Authenticator struct {
	accounts directory.Accounts
}

// New returns an Authenticator over accounts.
func New(accounts directory.Accounts) *Authenticator { return &Authenticator{accounts} }

var _ auth.Authenticator = (*Authenticator)(nil)

// dummyHash is verified for users who have no hash.
var dummyHash = sync.OnceValues(func() (string, error) { return auth.HashPassword("no password fits here") })

// Authenticate looks the account up by its login and verifies the password.
// An authorization identity must be the account itself.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if len(c.User) > maxLogin {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	account, err := a.accounts.Account(ctx, c.User)
	if err != nil && !errors.Is(err, directory.ErrUnknown) {
		return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	hash := account.Password
	if hash == "" {
		if hash, err = dummyHash(); err != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
		}
	}
	ok, err := auth.VerifyPassword(hash, c.Password)
	switch {
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: account %s: %w", auth.ErrUnavailable, account.Name, err)
	case !ok || account.Password == "" || account.Name == "":
		return auth.Identity{}, auth.ErrBadCredentials
	case account.Disabled:
		return auth.Identity{}, auth.ErrDisabled
	}
	return a.authorize(ctx, account, c.AuthzID)
}

// authorize checks that the authorization identity, if any, is the account.
func (a *Authenticator) authorize(ctx context.Context, account directory.Account, authzID string) (auth.Identity, error) {
	if authzID == "" {
		return auth.Identity{User: account.Name}, nil
	}
	other, err := a.accounts.Account(ctx, authzID)
	switch {
	case err == nil && other.Name == account.Name:
		return auth.Identity{User: account.Name}, nil
	case err == nil || errors.Is(err, directory.ErrUnknown):
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
}
