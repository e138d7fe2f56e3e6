package accountauth_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
)

func TestSCRAMIsOfferedWhileEverybodyHasASecret(t *testing.T) {
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	defer d.Close()
	ctx := t.Context()
	a := accountauth.New(d)
	offered := func() []string { return auth.Mechanisms(a, auth.Policy{}, auth.Credentials{}) }
	require.NoError(t, d.AddDomain(ctx, "example.test"))
	require.Empty(t, offered())
	hash, secrets, err := auth.PasswordForms("secret", "SCRAM-SHA-256")
	require.NoError(t, err)
	require.NoError(t, d.AddAccount(ctx, directory.Account{Name: "alice@example.test", Password: hash, Secrets: secrets}))
	require.Equal(t, []string{"SCRAM-SHA-256"}, offered())
	require.NoError(t, d.AddAccount(ctx, directory.Account{Name: "bob@example.test", Password: hash}))
	require.Empty(t, offered(), "bob's client would choose SCRAM and fail")
	require.NoError(t, d.SetPasswordForms(ctx, "bob@example.test", hash, secrets))
	require.Equal(t, []string{"SCRAM-SHA-256"}, offered())
}

func TestSecretsOfASchemeThatShowsThePasswordAreNotUsed(t *testing.T) {
	a := accountauth.New(accounts{"alice": {Name: "alice", Password: hash(t, "secret"), Secrets: map[string]string{"PLAIN": "secret"}}, "locked": {Name: "locked", Secrets: map[string]string{"SCRAM-SHA-256": "x"}}})
	_, err := a.Secret(t.Context(), "alice", "PLAIN")
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = a.Secret(t.Context(), "locked", "SCRAM-SHA-256")
	require.ErrorIs(t, err, auth.ErrBadCredentials, "who has no password can't log in")
	_, err = accountauth.New(broken{directory.ErrUnavailable}).Secret(t.Context(), "alice", "SCRAM-SHA-256")
	require.ErrorIs(t, err, auth.ErrUnavailable)
}
