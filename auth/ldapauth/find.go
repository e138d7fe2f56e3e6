package ldapauth

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// AccountName returns the Identity.User of who logs in with a name. It is a
// search: put an auth.Cache before it.
func (a *Authenticator) AccountName(ctx context.Context, login string) (string, error) {
	entry, err := a.find(ctx, login)
	if err != nil {
		return "", err
	}
	return a.config.AccountName(entry, login), nil
}

// find returns the entry of the first of a user's names that has one.
func (a *Authenticator) find(ctx context.Context, user string) (*ldap.Entry, error) {
	attributes := a.config.AccountAttributes()
	if a.o.Mode == Compare {
		if name := a.config.Attributes.Password; name != "" {
			attributes = append(attributes, name)
		}
		if a.o.Secrets&(auth.SCRAMSHA1Secrets|auth.SCRAMSHA256Secrets) != 0 {
			attributes = append(attributes, a.o.SCRAMAttribute)
		}
	}
	for _, name := range ldap.Names(user) {
		entry, err := a.directory.Lookup(ctx, name, attributes...)
		if !errors.Is(err, ldap.ErrNoEntry) {
			return entry, err
		}
	}
	return nil, ldap.ErrNoEntry
}
