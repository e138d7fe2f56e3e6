package passwdfile_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/passwdfile"
)

// TestWrappersKeepThePromisesAndThePowersOfAFile runs the suite through all
// that stands before a file in a server, with secrets and names found through
// it.
func TestWrappersKeepThePromisesAndThePowersOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	set := func(t *testing.T, password string) {
		write(t, path, "alice:{PLAIN}"+password+"\nbob:{PLAIN}bob's\ncarol:{PLAIN}carol's::::::nologin\n")
	}
	set(t, "correct horse")
	options := passwdfile.Options{Verifier: auth.Verifier{AllowClear: true}, Domain: "example.test"}
	f, err := passwdfile.Open(path, options)
	require.NoError(t, err)
	other := read(t, options, "dave:{PLAIN}dave's\n")
	cache := auth.NewCache(auth.Chain(other, f), auth.CacheOptions{})
	a := auth.NewThrottle(cache, auth.ThrottleOptions{UserFailures: 1000, NetworkFailures: 1000, BanAfter: -1})
	_, ok := auth.As[auth.SecretSource](a)
	require.True(t, ok)
	_, ok = auth.As[auth.Namer](a)
	require.True(t, ok)
	require.Equal(t, auth.Passwords|auth.ClearSecrets, auth.ProofsOf(a))
	authtest.Run(t, authtest.Fixture{
		Auth: a, User: "alice", Password: "correct horse", Identity: "alice@example.test", Other: "dave", Unknown: "mallory",
		Disabled: "carol", DisabledPassword: "carol's",
		SetPassword: func(t *testing.T, password string) {
			set(t, password)
			require.NoError(t, f.Reload())
			cache.Forget("alice@example.test")
		},
	})
}
