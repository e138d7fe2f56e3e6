package ldapauth

import (
	"context"
	"errors"
	"fmt"

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
	if a.o.Mode != Compare || auth.KindOfSecret(scheme) == 0 {
		return auth.Secret{}, fmt.Errorf("%w: there are no secrets of scheme %.40q", auth.ErrBadCredentials, scheme)
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

// secret returns the first secret of a scheme in an entry, or else the first
// password in clear text. SCRAMAttribute has other things too, but none that
// is clear text.
func (a *Authenticator) secret(ctx context.Context, e *ldap.Entry, scheme string) (auth.Secret, error) {
	if secret, ok := a.among(e.All(a.o.SCRAMAttribute), auth.Verifier{}, scheme); ok {
		return secret, nil
	}
	if secret, ok := a.among(e.All(a.config.Attributes.Password), a.verifier, scheme); ok {
		return secret, nil
	}
	a.log.Warn(ctx, "no secret "+e.DN, "the entry has no secret for this mechanism", "entry", e.DN, "scheme", scheme)
	return auth.Secret{}, fmt.Errorf("%w: the entry %q has no secret of scheme %.40q", auth.ErrBadCredentials, e.DN, scheme)
}

// among returns the first secret of a scheme among the values of an attribute.
func (a *Authenticator) among(values []string, v auth.Verifier, scheme string) (auth.Secret, bool) {
	for _, value := range values[:min(len(values), maxValues)] {
		if secret, ok := v.Secret(value, scheme); ok && a.retrieves(secret.Scheme) {
			return secret, true
		}
	}
	return auth.Secret{}, false
}

func (a *Authenticator) retrieves(scheme string) bool {
	return a.o.Secrets&auth.KindOfSecret(scheme) != 0
}

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
