// Package accountauth authenticates against the accounts of a directory.
//
// Invariants of this package:
//
//   - A user who does not exist, one who can't log in, one who is disabled and
//     a wrong password take the same time, when all hashes are of the kind that
//     auth.HashPassword makes.
//   - Nobody logs in without a password, whatever the directory says.
//   - SCRAM is offered only while everybody who has a password can use it: a
//     client that prefers it must not fail where PLAIN would have done.
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

// Authenticator checks passwords against the hashes of accounts, and the
// responses of SCRAM against their secrets. It has the powers auth.Namer,
// auth.Prover and auth.SecretSource.
type Authenticator struct {
	accounts directory.Accounts
}

// New returns an Authenticator over accounts.
func New(accounts directory.Accounts) *Authenticator { return &Authenticator{accounts} }

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Namer         = (*Authenticator)(nil)
	_ auth.Prover        = (*Authenticator)(nil)
	_ auth.SecretSource  = (*Authenticator)(nil)
)

// dummyHash is verified for users who have no hash.
var dummyHash = sync.OnceValues(func() (string, error) { return auth.HashPassword("no password fits here") })

// Authenticate looks the account up by its login and verifies the password.
// An authorization identity must be a login of the same account. An account
// whose hash can't be used is ErrUnavailable, and the hash is not in the error;
// hashes of weak schemes and clear text (see auth.Verifier) can't be used.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if c.Proof != nil {
		return a.checkProof(ctx, c)
	}
	account, err := a.lookup(ctx, c.User)
	exists := err == nil && account.Name != ""
	if err != nil && !errors.Is(err, directory.ErrUnknown) {
		return auth.Identity{}, unavailable(err)
	}
	hash := account.Password
	if !exists || hash == "" {
		exists = false
		if hash, err = dummyHash(); err != nil {
			return auth.Identity{}, unavailable(err)
		}
	}
	ok, err := auth.Verifier{}.Verify(ctx, hash, c.Password)
	switch {
	case err != nil:
		return auth.Identity{}, unavailable(fmt.Errorf("account %q: %w", account.Name, err))
	case !ok || !exists:
		return auth.Identity{}, auth.ErrBadCredentials
	case account.Disabled:
		return auth.Identity{}, auth.ErrDisabled
	}
	return a.authorize(ctx, account, c.AuthzID)
}

// AccountName returns the name of the account that somebody logs in to.
func (a *Authenticator) AccountName(ctx context.Context, login string) (string, error) {
	account, err := a.lookup(ctx, login)
	switch {
	case err != nil:
		return "", err
	case account.Name == "":
		return "", directory.ErrUnknown
	}
	return account.Name, nil
}

func (a *Authenticator) lookup(ctx context.Context, login string) (directory.Account, error) {
	if login == "" || len(login) > maxLogin {
		return directory.Account{}, directory.ErrUnknown
	}
	return a.accounts.Account(ctx, login)
}

// authorize checks that the authorization identity, if any, is the account.
func (a *Authenticator) authorize(ctx context.Context, account directory.Account, authzID string) (auth.Identity, error) {
	if authzID == "" {
		return auth.Identity{User: account.Name}, nil
	}
	other, err := a.lookup(ctx, authzID)
	switch {
	case err == nil && other.Name == account.Name:
		return auth.Identity{User: account.Name}, nil
	case err == nil || errors.Is(err, directory.ErrUnknown):
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{}, unavailable(err)
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", auth.ErrUnavailable, err) }
