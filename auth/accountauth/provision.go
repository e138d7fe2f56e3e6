package accountauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// Provisioner is an Authenticator that makes the accounts of those whom
// another one knows, as an LDAP directory does, at their first login.
type Provisioner struct {
	next    auth.Authenticator
	editor  directory.Editor
	allowed func(ctx context.Context, domain string) bool
}

// Provision returns a Provisioner: who logs in through next and has no account
// in editor gets one, without a password, where allowed says so of his domain.
// A nil allowed allows every domain that the editor takes.
func Provision(next auth.Authenticator, editor directory.Editor, allowed func(ctx context.Context, domain string) bool) *Provisioner {
	return &Provisioner{next, editor, allowed}
}

// Unwrap returns the Authenticator that is asked.
func (p *Provisioner) Unwrap() auth.Authenticator { return p.next }

// Authenticate asks, and makes sure that whoever logs in has an account: one
// who has none and gets none is auth.ErrBadCredentials, one whose account is
// disabled here is auth.ErrDisabled, and an editor that fails is
// auth.ErrUnavailable. A login that fails makes nothing.
func (p *Provisioner) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	id, err := p.next.Authenticate(ctx, c)
	if err != nil {
		return auth.Identity{}, err
	}
	account, err := p.account(ctx, id.User)
	if errors.Is(err, directory.ErrUnknown) {
		account, err = p.add(ctx, id.User)
	}
	switch {
	case errors.Is(err, auth.ErrBadCredentials):
		return auth.Identity{}, err
	case err != nil:
		return auth.Identity{}, unavailable(err)
	case account.Disabled:
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: account.Name}, nil
}

// add makes an account. Another login may have made it meanwhile.
func (p *Provisioner) add(ctx context.Context, name string) (directory.Account, error) {
	domain := name[strings.LastIndexByte(name, '@')+1:]
	if p.allowed != nil && !p.allowed(ctx, domain) {
		return directory.Account{}, fmt.Errorf("%w: %q has no account, and logins make none in this domain", auth.ErrBadCredentials, name)
	}
	err := p.editor.AddAccount(ctx, directory.Account{Name: name})
	switch {
	case errors.Is(err, directory.ErrNotLocal):
		return directory.Account{}, fmt.Errorf("%w: %q can have no account: %w", auth.ErrBadCredentials, name, err)
	case err != nil && !errors.Is(err, directory.ErrExists):
		return directory.Account{}, err
	}
	return p.account(ctx, name)
}

// account returns the account of this very name: "user+tag" may be another's
// than "user", and is not his who has only the latter.
func (p *Provisioner) account(ctx context.Context, name string) (directory.Account, error) {
	account, err := p.editor.Account(ctx, name)
	if err == nil && account.Name != name {
		return directory.Account{}, directory.ErrUnknown
	}
	return account, err
}
