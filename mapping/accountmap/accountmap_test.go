package accountmap_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/accountmap"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

// says answers every question about an account alike.
type says struct {
	account directory.Account
	err     error
}

func (s says) Account(context.Context, string) (directory.Account, error) { return s.account, s.err }

func accounts(t *testing.T) *embedded.Directory {
	t.Helper()
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	for name, host := range map[string]string{"alice": "", "bob": "[2001:db8::7]:1143,user=robert,tls=none", "carol": "host:99999", "dave": ""} {
		require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: name + "@example.test", Host: host}))
	}
	require.NoError(t, d.SetDisabled(t.Context(), "dave@example.test", directory.On))
	return d
}

func TestAccountsKeepThePromisesOfAMapper(t *testing.T) {
	home := mapping.Route{Host: "10.0.0.11"}
	bobs := mapping.Route{Host: "2001:db8::7", Port: 1143, User: "robert", TLS: mapping.TLSNone}
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper: accountmap.New(accounts(t), home),
		Known: map[string]mapping.Route{
			"alice@example.test": home, "alice": home, "alice+tag@example.test": home, "dave": home, "bob": bobs, "bob@example.test": bobs,
		},
		Unknown: "mallory@example.test",
		Broken:  accountmap.New(says{err: errors.New("connection refused")}, home),
	})
}

func TestX10AnAccountThatLivesNowhereIsATemporaryFailure(t *testing.T) {
	d := accounts(t)
	for _, m := range []mapping.Mapper{
		accountmap.New(d, mapping.Route{}), accountmap.New(says{account: directory.Account{Name: "x"}}, mapping.Route{Host: "a b"}),
		accountmap.New(says{account: directory.Account{Name: "x", Host: "a,b"}}, mapping.Route{Host: "a"}),
		accountmap.New(says{account: directory.Account{Name: "x", Host: "host:99999"}}, mapping.Route{Host: "a"}),
	} {
		r, err := m.Map(t.Context(), "alice")
		require.Zero(t, r)
		require.ErrorIs(t, err, mapping.ErrUnavailable)
		require.ErrorIs(t, err, mapping.ErrBadRoute)
		require.NotErrorIs(t, err, mapping.ErrNotMapped)
	}
	_, err := accountmap.New(d, mapping.Route{Host: "a"}).Map(t.Context(), "carol")
	require.ErrorIs(t, err, mapping.ErrBadRoute)
	require.ErrorContains(t, err, "carol@example.test")
}

func TestAMovedAccountIsMappedAnew(t *testing.T) {
	d := accounts(t)
	m := accountmap.New(d, mapping.Route{Host: "10.0.0.11"})
	require.NoError(t, d.SetHost(t.Context(), "alice@example.test", "10.0.0.12"))
	r, err := m.Map(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.12", r.Host)
}
