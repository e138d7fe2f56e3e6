package local

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// TestStoresThatListedNoSharesListThemAtTheNextOpening takes away what stores
// did not have that were written before.
func TestStoresThatListedNoSharesListThemAtTheNextOpening(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	a, b := accountOf(t, s, "alice"), accountOf(t, s, "bob")
	require.NoError(t, a.SetACL(t.Context(), "Drafts", storage.ACL{storage.Viewer.Entry("carol"), storage.NoAccess.Entry("dave")}))
	require.NoError(t, b.SetACL(t.Context(), "", storage.ACL{storage.Viewer.Entry("carol")}))
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error {
		return tx.Scan([]byte{keyShare}, []byte{keyShare + 1}, func(k, _ []byte) error { tx.Delete(k); return nil })
	}}))
	require.NotEmpty(t, damages(t, s))
	require.NoError(t, s.Close())
	for range 2 {
		s = open(t, "store", quiet(fs))
		users, err := s.SharedWith(t.Context(), "carol")
		require.NoError(t, err)
		require.Equal(t, []string{"alice", "bob"}, users)
		require.Equal(t, 3, keysOf(t, s, keyShare))
		require.Empty(t, damages(t, s))
		require.NoError(t, s.Close())
	}
}
