package ldapauth

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// maxValues bounds the values of a password attribute that are compared: each
// may be a hash that is slow on purpose.
const maxValues = 8

// absent is what is shown to the directory, and hashed here, where there is
// nothing to compare with.
const absent = "no password fits here"

// dummyHash is verified for users who have no hash, before any was seen.
var dummyHash = sync.OnceValues(func() (string, error) { return auth.HashPassword(absent) })

// compare returns why a password is not the one of an entry.
func (a *Authenticator) compare(ctx context.Context, e *ldap.Entry, password string) error {
	attribute := a.config.Attributes.Password
	values := e.All(attribute)
	switch {
	case len(values) == 0:
		a.log.Warn(ctx, "no password "+e.DN, "nobody can log in: the entry has no password, or it may not be read",
			"entry", e.DN, "attribute", attribute)
		return a.verifyNothing(ctx, password, fmt.Errorf("%w: the entry %q has no %s", auth.ErrBadCredentials, e.DN, attribute))
	case len(values) > maxValues:
		return fmt.Errorf("%w: the entry %q has %d values of %s", auth.ErrUnavailable, e.DN, len(values), attribute)
	}
	var unusable error
	for _, value := range values {
		switch ok, err := a.verifier.Verify(ctx, value, password); {
		case ok:
			a.sample.Store(&value)
			return nil
		case err != nil && unusable == nil:
			unusable = err
		}
	}
	if unusable != nil {
		err := fmt.Errorf("%w: %s of the entry %q: %w", auth.ErrUnavailable, attribute, e.DN, unusable)
		if errors.Is(unusable, auth.ErrHash) {
			a.log.Warn(ctx, "unusable "+e.DN, "the password of an entry can't be compared", "entry", e.DN, "err", unusable)
		}
		return err
	}
	return fmt.Errorf("%w: the entry %q holds another", auth.ErrBadCredentials, e.DN)
}

// refuse answers for who has no entry. It takes the time of who has one:
// otherwise it would tell who has.
func (a *Authenticator) refuse(ctx context.Context, c auth.Credentials) error {
	err := fmt.Errorf("%w: %w", auth.ErrBadCredentials, ldap.ErrNoEntry)
	switch {
	case c.Proof != nil:
		return err
	case a.o.Mode == Compare:
		return a.verifyNothing(ctx, c.Password, err)
	}
	// That there is no entry is known: how the bind ends changes nothing. What
	// was typed is not shown to a server that can't use it.
	_ = a.directory.Bind(ctx, "cn=nobody,"+a.config.Base, absent)
	return err
}

// verifyNothing takes the time of a hash, one like the last that a password
// fitted, and returns result, or why it could not.
func (a *Authenticator) verifyNothing(ctx context.Context, password string, result error) error {
	if sample := a.sample.Load(); sample != nil {
		_, err := a.verifier.Verify(ctx, *sample, password)
		if err != nil {
			return unavailable(err)
		}
		return result
	}
	hash, err := dummyHash()
	if err == nil {
		_, err = a.verifier.Verify(ctx, hash, password)
	}
	if err != nil {
		return unavailable(err)
	}
	return result
}
