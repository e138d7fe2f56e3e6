package accountauth

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// Proofs tells that passwords can be checked, and responses of those schemes
// of which the directory keeps everybody's secret (directory.SecretSchemes).
func (a *Authenticator) Proofs() auth.Kinds {
	can := auth.Passwords
	if d, ok := a.accounts.(directory.SecretSchemes); ok {
		for _, scheme := range d.SecretSchemes() {
			can |= auth.KindOfSecret(scheme) &^ auth.ClearSecrets // clear text is never kept
		}
	}
	return can
}

// Secret returns the secret of an account, disabled or not.
func (a *Authenticator) Secret(ctx context.Context, user, scheme string) (auth.Secret, error) {
	_, secret, err := a.secret(ctx, user, scheme)
	return secret, err
}

// secret returns an account together with its secret.
func (a *Authenticator) secret(ctx context.Context, user, scheme string) (directory.Account, auth.Secret, error) {
	account, err := a.lookup(ctx, user)
	if err != nil && !errors.Is(err, directory.ErrUnknown) {
		return account, auth.Secret{}, unavailable(err)
	}
	value := account.Secrets[scheme]
	if err != nil || account.Name == "" || account.Password == "" || value == "" || scheme == "PLAIN" { // nobody keeps that here
		return account, auth.Secret{}, auth.ErrBadCredentials
	}
	return account, auth.Secret{Scheme: scheme, Value: []byte(value)}, nil
}

// checkProof checks a response against the account's secret.
func (a *Authenticator) checkProof(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	r, ok := c.Proof.(*auth.Response)
	if !ok || r.Check == nil {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	account, secret, err := a.secret(ctx, c.User, r.Scheme)
	switch {
	case err != nil:
		return auth.Identity{}, err
	case !r.Check(secret):
		return auth.Identity{}, auth.ErrBadCredentials
	case account.Disabled:
		return auth.Identity{}, auth.ErrDisabled
	}
	return a.authorize(ctx, account, c.AuthzID)
}
