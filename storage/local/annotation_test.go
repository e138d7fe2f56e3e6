package local

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// notesLeft counts the keys of annotations of mailboxes and of accounts.
func notesLeft(t *testing.T, s *Store) (n int) {
	t.Helper()
	for _, kind := range []byte{keyBoxNote, keyAccountNote} {
		require.NoError(t, s.e.Scan(t.Context(), []byte{kind}, []byte{kind + 1}, func(_, _ []byte) error { n++; return nil }))
	}
	return n
}

func TestNothingIsLeftOfAnnotations(t *testing.T) {
	s := inMemory(t, nil)
	a := accountOf(t, s, "alice")
	note := storage.Annotation{Name: "/a", User: "bob", Value: []byte("x")}
	require.NoError(t, a.Create(t.Context(), "x", storage.NewMailbox{}))
	for _, mailbox := range []string{"", "x", "INBOX"} {
		require.NoError(t, a.Annotate(t.Context(), mailbox, note))
	}
	require.Equal(t, 3, notesLeft(t, s))
	require.NoError(t, a.Delete(t.Context(), "x"))
	require.Eventually(t, func() bool { return notesLeft(t, s) == 2 }, waitLong, waitTick)
	require.NoError(t, s.RemoveAccount(t.Context(), "alice"))
	require.Eventually(t, func() bool { return notesLeft(t, s) == 0 }, waitLong, waitTick)
}

func TestDamagedAnnotationIsRemovedAlone(t *testing.T) {
	s := open(t, "store", quiet(vfs.NewMem()))
	a := accountOf(t, s, "alice")
	require.NoError(t, a.Annotate(t.Context(), "INBOX", storage.Annotation{Name: "/a", Value: []byte("x")}, storage.Annotation{Name: "/b", Value: []byte("y")}))
	key := boxNotes(inbox(t, s, "alice").id).key("", "/a")
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { tx.Set(key, nil); return nil }}))
	_, err := a.Annotations(t.Context(), "INBOX", "")
	require.ErrorIs(t, err, ErrDamaged)
	require.Contains(t, strings.Join(damages(t, s), "\n"), `bad-annotation: `)
	require.NoError(t, s.Repair(t.Context(), nil, Repairs{}))
	require.Empty(t, damages(t, s))
	list, err := a.Annotations(t.Context(), "INBOX", "")
	require.NoError(t, err)
	require.Equal(t, []storage.Annotation{{Name: "/b", Value: []byte("y")}}, list)
}
