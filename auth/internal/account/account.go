// Package account tells which account a login means, for those Authenticators
// that may stand on a directory and need none.
package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// errNoAccounts is why nobody's name is known.
var errNoAccounts = errors.New("there is no directory of accounts")

// maxLogin bounds a login, in octets.
const maxLogin = 512

// Resolver finds accounts. Without Accounts every login is an account, in the
// form of auth.NormalName.
type Resolver struct {
	Accounts directory.Accounts
}

// Find returns the account that a login means, disabled or not.
// auth.ErrBadCredentials when there is none; auth.ErrUnavailable.
func (r Resolver) Find(ctx context.Context, login string) (directory.Account, error) {
	if login == "" || len(login) > maxLogin {
		return directory.Account{}, auth.ErrBadCredentials
	}
	if r.Accounts == nil {
		return directory.Account{Name: auth.NormalName(login)}, nil
	}
	a, err := r.Accounts.Account(ctx, login)
	switch {
	case errors.Is(err, directory.ErrUnknown), err == nil && a.Name == "":
		return directory.Account{}, fmt.Errorf("%w: nobody has this name", auth.ErrBadCredentials)
	case err != nil:
		return directory.Account{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return a, nil
}

// Admit returns the identity of somebody who has proved to be a. He must have
// named nobody else (auth.ErrBadCredentials), and his account must not be
// disabled (auth.ErrDisabled). It is asked last: what it says is not for who
// has proved nothing.
func (r Resolver) Admit(ctx context.Context, a directory.Account, names ...string) (auth.Identity, error) {
	for _, name := range names {
		if name == "" || name == a.Name {
			continue
		}
		other, err := r.Find(ctx, name)
		if err != nil {
			return auth.Identity{}, err
		}
		if other.Name != a.Name {
			return auth.Identity{}, fmt.Errorf("%w: it is somebody else's", auth.ErrBadCredentials)
		}
	}
	if a.Disabled {
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: a.Name}, nil
}

// Name returns the name of the account that a login means, as auth.Namer does.
func (r Resolver) Name(ctx context.Context, login string) (string, error) {
	if r.Accounts == nil {
		return "", errNoAccounts
	}
	a, err := r.Find(ctx, login)
	return a.Name, err
}
