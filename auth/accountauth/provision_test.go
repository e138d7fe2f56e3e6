package accountauth_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/mail"
)

// elsewhere knows everybody in two domains by the password "secret".
var elsewhere = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	name := auth.NormalName(c.User)
	known := strings.HasSuffix(name, "@example.test") || strings.HasSuffix(name, "@foreign.test")
	if !known || strings.HasPrefix(name, "mallory@") || len(name) > 200 || c.Password != "secret" || c.AuthzID != "" && c.AuthzID != c.User {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	if _, err := mail.ParseAddress(name); err != nil {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: name}, ctx.Err()
})

func openDirectory(t *testing.T) *embedded.Directory {
	t.Helper()
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	return d
}

func login(t *testing.T, a auth.Authenticator, user, password string) (auth.Identity, error) {
	t.Helper()
	return a.Authenticate(t.Context(), auth.Credentials{User: user, Password: password})
}

func TestR3413TheFirstLoginMakesTheAccount(t *testing.T) {
	d := openDirectory(t)
	a := accountauth.Provision(elsewhere, d, nil)
	_, err := login(t, a, "alice@example.test", "wrong")
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = d.Account(t.Context(), "alice@example.test")
	require.ErrorIs(t, err, directory.ErrUnknown, "a login that fails makes nothing")
	for _, user := range []string{"Alice+tag@example.test", "alice@example.test"} {
		id, err := login(t, a, user, "secret")
		require.NoError(t, err)
		require.Equal(t, "alice@example.test", id.User)
	}
	account, err := d.Account(t.Context(), "alice@example.test")
	require.NoError(t, err)
	require.Equal(t, directory.Account{Name: "alice@example.test"}, account, "without a password of its own")
	_, err = login(t, accountauth.New(d), "alice@example.test", "secret")
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	require.NoError(t, d.SetDisabled(t.Context(), "alice@example.test", directory.On))
	_, err = login(t, a, "alice@example.test", "secret")
	require.ErrorIs(t, err, auth.ErrDisabled)
}

func TestR3413OnlyWhereTheDomainAllowsIt(t *testing.T) {
	d := openDirectory(t)
	var asked []string
	a := accountauth.Provision(elsewhere, d, func(_ context.Context, domain string) bool {
		asked = append(asked, domain)
		return domain == "foreign.test"
	})
	for _, user := range []string{"alice@example.test", "alice@foreign.test"} {
		_, err := login(t, a, user, "secret")
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	require.Equal(t, []string{"example.test", "foreign.test"}, asked)
	require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: "alice@example.test"}))
	id, err := login(t, a, "alice@example.test", "secret")
	require.NoError(t, err, "who has an account needs no leave")
	require.Equal(t, "alice@example.test", id.User)
}

func TestR3413LoginsAtTheSameTimeMakeOneAccount(t *testing.T) {
	d := openDirectory(t)
	a := accountauth.Provision(elsewhere, d, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := a.Authenticate(t.Context(), auth.Credentials{User: "alice@example.test", Password: "secret"}); err != nil {
				t.Errorf("login: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestR3413ProvisionedLoginsKeepThePromisesOfAnAuthenticator(t *testing.T) {
	d := openDirectory(t)
	require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: "carol@example.test", Disabled: true}))
	require.NoError(t, d.SetDisabled(t.Context(), "carol@example.test", directory.On))
	authtest.Run(t, authtest.Fixture{
		Auth: accountauth.Provision(elsewhere, d, nil), User: "alice@example.test", Password: "secret", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test",
		Disabled: "carol@example.test", DisabledPassword: "secret",
		Broken: accountauth.Provision(auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
			return auth.Identity{}, errors.New("connection refused")
		}), d, nil),
	})
}

func TestR3413ASubAddressOfItsOwnIsNotTheAccountWithoutIt(t *testing.T) {
	d := openDirectory(t)
	require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: "alice@example.test", Aliases: []string{"sales@example.test"}}))
	as := func(name string) auth.Authenticator {
		return accountauth.Provision(auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
			return auth.Identity{User: name}, nil
		}), d, nil)
	}
	id, err := login(t, as("alice+own@example.test"), "x", "secret")
	require.NoError(t, err)
	require.Equal(t, "alice+own@example.test", id.User)
	_, err = login(t, as("sales@example.test"), "x", "secret")
	require.ErrorIs(t, err, auth.ErrUnavailable, "a name that is an alias here")
}

func TestAnEditorThatFailsIsUnavailable(t *testing.T) {
	d := openDirectory(t)
	for _, e := range []failingEditor{{Editor: d, lookup: directory.ErrUnavailable}, {Editor: d, add: directory.ErrUnavailable}, {Editor: d, add: mail.ErrBadAddress}} {
		_, err := login(t, accountauth.Provision(elsewhere, e, nil), "alice@example.test", "secret")
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.NotErrorIs(t, err, auth.ErrBadCredentials)
	}
}

type failingEditor struct {
	directory.Editor
	lookup, add error
}

func (f failingEditor) Account(ctx context.Context, login string) (directory.Account, error) {
	if f.lookup != nil {
		return directory.Account{}, f.lookup
	}
	return f.Editor.Account(ctx, login)
}

func (f failingEditor) AddAccount(ctx context.Context, a directory.Account) error { return f.add }
