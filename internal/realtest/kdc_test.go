package realtest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKDCGivesTicketsToWhoKnowsThePassword(t *testing.T) {
	RequireKDC(t)
	k, err := StartKDC(t.Context(), KDCOptions{})
	require.NoError(t, err)
	defer k.Stop()
	require.NoError(t, k.AddUser(t.Context(), "alice", "secret"))
	keytab := filepath.Join(t.TempDir(), "keytab")
	require.NoError(t, k.AddService(t.Context(), keytab, "imap/localhost"))
	require.NoError(t, k.AddService(t.Context(), keytab, "imap/localhost"), "new keys")
	require.FileExists(t, keytab)
	cache := filepath.Join(t.TempDir(), "cache")
	require.Error(t, k.LogIn(t.Context(), cache, "alice", "wrong"))
	require.NoError(t, k.LogIn(t.Context(), cache, "alice", "secret"))
	k.Kill()
	require.Error(t, k.LogIn(t.Context(), cache, "alice", "secret"))
	require.NoError(t, k.Restart(t.Context()))
	require.NoError(t, k.LogIn(t.Context(), cache, "alice", "secret", "-l", "5m"))
}
