package ldapauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// check returns why credentials don't prove that somebody is the one of an entry.
func (a *Authenticator) check(ctx context.Context, e *ldap.Entry, c auth.Credentials) error {
	switch p := c.Proof.(type) {
	case auth.Ticket:
		return nil
	case *auth.Response:
		return a.checkResponse(ctx, e, p)
	}
	if a.o.Mode == Compare {
		return a.compare(ctx, e, c.Password)
	}
	switch err := a.directory.Bind(ctx, e.DN, c.Password); {
	case err == nil:
		return nil
	case errors.Is(err, ldap.ErrPassword):
		return fmt.Errorf("%w: the directory refuses the bind", auth.ErrBadCredentials)
	case errors.Is(err, ldap.ErrDisabled):
		return fmt.Errorf("%w: %w", auth.ErrDisabled, err)
	default:
		return unavailable(err)
	}
}

// admit returns why nobody may log in to an entry, whatever he proves.
func (a *Authenticator) admit(ctx context.Context, e *ldap.Entry) error {
	if group := a.config.Groups.Required; group != "" {
		path, err := a.directory.Member(ctx, e, group)
		if err != nil {
			return unavailable(err)
		}
		if len(path) == 0 {
			return fmt.Errorf("%w: the entry %q is not in the group %q", auth.ErrBadCredentials, e.DN, group)
		}
	}
	if a.config.Disabled(e) {
		return fmt.Errorf("%w: the entry %q says so", auth.ErrDisabled, e.DN)
	}
	return nil
}

// authorize checks that the authorization identity, if any, is of the same entry.
func (a *Authenticator) authorize(ctx context.Context, e *ldap.Entry, user, authzID string) error {
	if authzID == "" || authzID == user {
		return nil
	}
	other, err := a.find(ctx, authzID)
	switch {
	case err == nil && strings.EqualFold(other.DN, e.DN):
		return nil
	case err == nil || errors.Is(err, ldap.ErrNoEntry):
		return fmt.Errorf("%w: nobody acts for somebody else", auth.ErrBadCredentials)
	}
	return unavailable(err)
}
