package accountauth_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
)

// accounts is a directory in memory.
type accounts map[string]directory.Account

func (a accounts) Account(_ context.Context, login string) (directory.Account, error) {
	account, ok := a[strings.ToLower(login)]
	if !ok {
		return directory.Account{}, directory.ErrUnknown
	}
	return account, nil
}

// broken is a directory that can't be asked.
type broken struct{ err error }

func (b broken) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, b.err
}

// SecretSchemes lets SCRAM be offered, so that it meets the failure.
func (b broken) SecretSchemes() []string { return []string{"SCRAM-SHA-1", "SCRAM-SHA-256"} }

func hash(t testing.TB, password string) string {
	t.Helper()
	h, err := auth.HashPassword(password)
	require.NoError(t, err)
	return h
}

func TestAccountsKeepThePromisesOfAnAuthenticator(t *testing.T) {
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	defer d.Close()
	ctx := t.Context()
	require.NoError(t, d.AddDomain(ctx, "example.test"))
	for _, name := range []string{"alice", "bob", "carol"} {
		hash, secrets, err := auth.PasswordForms(name+"'s secret", "SCRAM-SHA-256", "SCRAM-SHA-1")
		require.NoError(t, err)
		require.NoError(t, d.AddAccount(ctx, directory.Account{Name: name + "@example.test", Password: hash, Secrets: secrets}))
	}
	require.NoError(t, d.SetDisabled(ctx, "carol@example.test", directory.On))
	authtest.Run(t, authtest.Fixture{
		Auth: accountauth.New(d), User: "alice@example.test", Password: "alice's secret", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test",
		Disabled: "carol@example.test", DisabledPassword: "carol's secret",
		Broken: accountauth.New(broken{errors.New("connection refused")}),
	})
}

func TestA06SpellingsOfALoginAreOneAccount(t *testing.T) {
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: "alice@example.test", Password: hash(t, "secret")}))
	a := accountauth.New(d)
	for _, login := range []string{"alice", "ALICE", "Alice@Example.Test", "alice+tag@example.test"} {
		id, err := a.Authenticate(t.Context(), auth.Credentials{User: login, Password: "secret"})
		require.NoError(t, err, login)
		require.Equal(t, "alice@example.test", id.User)
		name, err := a.AccountName(t.Context(), login)
		require.NoError(t, err, login)
		require.Equal(t, "alice@example.test", name)
	}
	_, err = a.AccountName(t.Context(), "mallory")
	require.ErrorIs(t, err, directory.ErrUnknown)
}

func TestA05ADirectoryThatIsDownIsNotAWrongPassword(t *testing.T) {
	for _, cause := range []error{directory.ErrUnavailable, errors.New("connection refused"), context.DeadlineExceeded, directory.ErrNotLocal} {
		_, err := accountauth.New(broken{cause}).Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "secret"})
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, auth.ErrBadCredentials)
	}
}

func TestHashesOfOthersAreGoodUnlessTheyAreWeak(t *testing.T) {
	a := accountauth.New(accounts{
		"alice": {Name: "alice", Password: "{SSHA}RY/Bl5TuuQszGj2vvsb69walW3EmEDFQ"},
		"bob":   {Name: "bob", Password: "{SMD5}uoPaUT8tGWzkgp0t4/ICKzAN3Pg="},
	})
	_, err := a.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "correct horse"})
	require.NoError(t, err)
	_, err = a.Authenticate(t.Context(), auth.Credentials{User: "bob", Password: "correct horse"})
	require.ErrorIs(t, err, auth.ErrHash)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	_, err = a.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "correct horse", Proof: auth.Token("x")})
	require.ErrorIs(t, err, auth.ErrBadCredentials, "a proof of a kind that is not known proves nothing")
}

func TestAHashThatCannotBeUsedIsUnavailableAndNotShown(t *testing.T) {
	a := accountauth.New(accounts{"alice": {Name: "alice", Password: "{PLAIN}secret"}, "nobody": {Password: hash(t, "secret")}, "locked": {Name: "locked"}})
	_, err := a.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "secret"})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	for _, user := range []string{"nobody", "locked"} {
		_, err = a.Authenticate(t.Context(), auth.Credentials{User: user, Password: "secret"})
		require.ErrorIs(t, err, auth.ErrBadCredentials, user)
	}
	_, err = a.Authenticate(t.Context(), auth.Credentials{User: "locked", Password: "no password fits here"})
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestA14MissingDisabledAndWrongTakeTheSameTime(t *testing.T) {
	a := accountauth.New(accounts{
		"alice": {Name: "alice", Password: hash(t, "secret")}, "carol": {Name: "carol", Password: hash(t, "secret"), Disabled: true}, "locked": {Name: "locked"},
	})
	fastest := func(user, password string) time.Duration {
		best := time.Hour
		for range 3 {
			began := time.Now()
			_, err := a.Authenticate(t.Context(), auth.Credentials{User: user, Password: password})
			require.Error(t, err)
			best = min(best, time.Since(began))
		}
		return best
	}
	// A hash takes milliseconds, its absence shows as microseconds: bounds this
	// wide tell them apart on a busy machine too.
	wrong := fastest("alice", "wrong")
	for _, other := range []time.Duration{fastest("mallory", "wrong"), fastest("locked", "wrong"), fastest("carol", "wrong"), fastest("carol", "secret")} {
		require.Less(t, other, 4*wrong)
		require.Greater(t, other, wrong/4)
	}
}
