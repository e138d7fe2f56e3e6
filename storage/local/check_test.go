package local

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// damages returns what a check finds.
func damages(t *testing.T, s *Store, others ...References) []string {
	t.Helper()
	var list []string
	require.NoError(t, s.Check(t.Context(), func(d Damage) { list = append(list, d.String()) }, others...))
	return list
}

func TestCheckCountsReferencesOfOthers(t *testing.T) {
	s := open(t, "store", quiet(vfs.NewMem()))
	deliver(t, s, "shared", "alice")
	m := inbox(t, s, "alice")
	rec, err := m.record(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { tx.Ref(rec.blob, 2); return nil }}))
	require.Len(t, damages(t, s), 1)
	refs := func(n int, id engine.BlobID) References {
		return func(_ *engine.Snapshot, f func(engine.BlobID, int) error) error { return f(id, n) }
	}
	require.Empty(t, damages(t, s, refs(1, rec.blob), refs(1, rec.blob)))
	require.Len(t, damages(t, s, refs(1, rec.blob)), 1)
	require.Len(t, damages(t, s, refs(2, rec.blob), refs(1, 12345)), 1)
}

// TestCheckNamesTheMessageOfADamagedBody flips a bit of a body on disk.
func TestCheckNamesTheMessageOfADamagedBody(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	deliver(t, s, "Subject: fine\r\n\r\n", "alice")
	deliver(t, s, "Subject: needle\r\n\r\n", "alice", "bob")
	require.NoError(t, s.Close())
	path := "store/log/00000001.seg"
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	octets := make([]byte, info.Size())
	_, err = f.ReadAt(octets, 0)
	require.NoError(t, err)
	at := strings.Index(string(octets), "needle")
	_, err = f.WriteAt([]byte("noodle"), int64(at))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s = open(t, "store", quiet(fs))
	found := strings.Join(damages(t, s), "\n")
	require.Contains(t, found, "message 2: ")
	require.Contains(t, found, "message 1: ", "of bob")
	require.Contains(t, found, "log: ")
	_, err = inbox(t, s, "alice").Open(t.Context(), 1)
	require.NoError(t, err)
}
