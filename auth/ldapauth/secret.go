package ldapauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// Proofs returns what can be checked: passwords, in mode Compare what Options
// say of secrets, and tickets when there are Realms.
func (a *Authenticator) Proofs() auth.Kinds {
	can := auth.Passwords
	if a.o.Mode == Compare {
		can |= a.o.Secrets & (auth.ClearSecrets | auth.SCRAMSHA1Secrets | auth.SCRAMSHA256Secrets)
	}
	if len(a.o.Realms) > 0 {
		can |= auth.Tickets
	}
	return can
}

// Secret returns a user's secret of a scheme, or his password in clear text.
func (a *Authenticator) Secret(ctx context.Context, user, scheme string) (auth.Secret, error) {
	if a.o.Mode != Compare {
		return auth.Secret{}, fmt.Errorf("%w: a bind tells no secrets", auth.ErrBadCredentials)
	}
	entry, err := a.find(ctx, user)
	switch {
	case errors.Is(err, ldap.ErrNoEntry):
		return auth.Secret{}, fmt.Errorf("%w: %w", auth.ErrBadCredentials, err)
	case err != nil:
		return auth.Secret{}, unavailable(err)
	}
	return a.secret(ctx, entry, scheme)
}

// secret returns the first secret of a scheme in an entry.
func (a *Authenticator) secret(ctx context.Context, e *ldap.Entry, scheme string) (auth.Secret, error) {
	if a.reads(scheme) {
		for _, value := range first(e.All(a.o.SCRAMAttribute)) {
			if rest, ok := strings.CutPrefix(value, scheme+"$"); ok {
				return auth.Secret{Scheme: scheme, Value: []byte(rest)}, nil
			}
		}
	}
	for _, value := range first(e.All(a.config.Attributes.Password)) {
		if password, ok := a.clearText(value); ok {
			return auth.Secret{Scheme: "PLAIN", Value: []byte(password)}, nil
		}
	}
	a.log.Warn(ctx, "no secret "+e.DN, "the entry has no secret for this mechanism", "entry", e.DN, "scheme", scheme)
	return auth.Secret{}, fmt.Errorf("%w: the entry %q has no secret of scheme %.40q", auth.ErrBadCredentials, e.DN, scheme)
}

func (a *Authenticator) reads(scheme string) bool {
	return scheme == "SCRAM-SHA-256" && a.o.Secrets&auth.SCRAMSHA256Secrets != 0 ||
		scheme == "SCRAM-SHA-1" && a.o.Secrets&auth.SCRAMSHA1Secrets != 0
}

// first bounds how many values are looked at.
func first(values []string) []string { return values[:min(len(values), maxValues)] }

// checkResponse returns why a response is none of the one of an entry.
func (a *Authenticator) checkResponse(ctx context.Context, e *ldap.Entry, r *auth.Response) error {
	secret, err := a.secret(ctx, e, r.Scheme)
	if err != nil {
		return err
	}
	if !r.Check(secret) {
		return fmt.Errorf("%w: the entry %q holds another", auth.ErrBadCredentials, e.DN)
	}
	return nil
}
