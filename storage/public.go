package storage

import (
	"context"
	"fmt"
)

// PublicAccount returns the name of the account that holds the public folders
// of a domain. No user can have it.
func PublicAccount(domain string) string { return "@" + domain }

// IsPublic reports whether an account is one that PublicAccount names.
func IsPublic(user string) bool { return len(user) > 1 && user[0] == '@' }

// UserAccount returns the account of a user who has logged in. It is
// Store.Account for names that a user can have: of a public account nobody is
// the owner, whatever an authenticator or a directory says, so its name is
// ErrBadName. Whoever lets users in opens their accounts with it.
func UserAccount(ctx context.Context, s Store, user string) (Account, error) {
	if IsPublic(user) {
		return nil, fmt.Errorf("%w: %q is no user", ErrBadName, user)
	}
	return s.Account(ctx, user)
}
