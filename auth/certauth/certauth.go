// Package certauth authenticates by client certificates, for the mechanism
// EXTERNAL (RFC 4422 appendix A).
//
// Invariants of this package:
//
//   - Only a certificate proves anything, and only one whose chain was verified
//     against the authorities that the server's tls.Config has in ClientCAs.
//     Whoever is trusted there is believed in the names that are looked at: an
//     authority of one's own is meant, not a public one.
//   - A certificate that could be of several accounts is of none, until the
//     client says of which.
//
// Revocation is not looked at. A certificate that must no longer log in is
// taken off the list of Fingerprints, or its account is disabled, or
// tls.Config's VerifyConnection refuses it.
package certauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// Bounds of what a certificate may say.
const (
	maxNames = 32
	maxLogin = 512 // octets
)

// Names returns the logins for which a certificate is good: Emails,
// CommonName, what Fingerprints returns, or one's own.
type Names func(leaf *x509.Certificate) []string

// Authenticator checks certificates. It has the powers auth.Namer and
// auth.Prover.
type Authenticator struct {
	accounts directory.Accounts
	names    Names
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Namer         = (*Authenticator)(nil)
	_ auth.Prover        = (*Authenticator)(nil)
)

// New returns an Authenticator of the accounts that the names of a
// certificate lead to.
func New(accounts directory.Accounts, names Names) *Authenticator {
	return &Authenticator{accounts, names}
}

// Proofs tells that certificates can be checked, and nothing else.
func (a *Authenticator) Proofs() auth.Kinds { return auth.Certificates }

// Authenticate finds the account of a certificate. A user or an authorization
// identity that is named must be a login of the same account; where the
// certificate is good for several accounts, it chooses.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	shown, ok := c.Proof.(*auth.Certificate)
	if !ok || len(shown.Chain) == 0 || shown.Chain[0] == nil {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	candidates, err := a.candidates(ctx, a.names(shown.Chain[0]))
	if err != nil {
		return auth.Identity{}, err
	}
	for _, login := range []string{c.User, c.AuthzID} {
		if login == "" {
			continue
		}
		account, err := a.lookup(ctx, login)
		if err != nil {
			return auth.Identity{}, err
		}
		chosen, ok := candidates[account.Name]
		if !ok {
			return auth.Identity{}, fmt.Errorf("%w: the certificate is not of this account", auth.ErrBadCredentials)
		}
		candidates = map[string]directory.Account{chosen.Name: chosen}
	}
	if len(candidates) != 1 {
		return auth.Identity{}, fmt.Errorf("%w: the certificate is of %d accounts", auth.ErrBadCredentials, len(candidates))
	}
	for _, account := range candidates {
		if account.Disabled {
			return auth.Identity{}, auth.ErrDisabled
		}
		return auth.Identity{User: account.Name}, nil
	}
	return auth.Identity{}, auth.ErrBadCredentials
}

// candidates returns the accounts that names lead to, by their own names.
func (a *Authenticator) candidates(ctx context.Context, names []string) (map[string]directory.Account, error) {
	if len(names) > maxNames {
		return nil, fmt.Errorf("%w: the certificate has too many names", auth.ErrBadCredentials)
	}
	found := make(map[string]directory.Account)
	for _, name := range names {
		account, err := a.lookup(ctx, name)
		switch {
		case errors.Is(err, auth.ErrBadCredentials):
			continue // a name that means nobody here
		case err != nil:
			return nil, err
		}
		found[account.Name] = account
	}
	return found, nil
}

// AccountName returns the name of the account that a login means.
func (a *Authenticator) AccountName(ctx context.Context, login string) (string, error) {
	account, err := a.lookup(ctx, login)
	return account.Name, err
}

// lookup finds an account. auth.ErrBadCredentials when there is none.
func (a *Authenticator) lookup(ctx context.Context, login string) (directory.Account, error) {
	if login == "" || len(login) > maxLogin {
		return directory.Account{}, auth.ErrBadCredentials
	}
	account, err := a.accounts.Account(ctx, login)
	switch {
	case errors.Is(err, directory.ErrUnknown), err == nil && account.Name == "":
		return directory.Account{}, auth.ErrBadCredentials
	case err != nil:
		return directory.Account{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return account, nil
}
