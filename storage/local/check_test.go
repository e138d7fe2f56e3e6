package local

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// damages returns what a check finds.
func damages(t *testing.T, s *Store, others ...References) []string {
	t.Helper()
	var list []string
	require.NoError(t, s.Check(t.Context(), func(d Damage) { list = append(list, d.String()) }, others...))
	return list
}

// TestCheckFindsEveryDamage breaks one record after the other, each in a store
// of its own.
func TestCheckFindsEveryDamage(t *testing.T) {
	var m *mailbox
	var mine record
	var lost *kept
	setKept := func(change func(*kept) []byte) func(*Store, *engine.Tx) {
		return func(_ *Store, tx *engine.Tx) {
			key := keptKey(lost.account, lost.id)
			if v := change(lost); v != nil {
				tx.Set(key, v)
			} else {
				tx.Delete(key)
			}
		}
	}
	set := func(key, value []byte) func(*Store, *engine.Tx) {
		return func(_ *Store, tx *engine.Tx) { tx.Set(key, value) }
	}
	ofState := func(change func(*state)) func(*Store, *engine.Tx) {
		return func(s *Store, tx *engine.Tx) {
			st, err := s.loadState(m.id)
			require.NoError(t, err)
			change(&st)
			tx.Set(stateKey(m.id), st.append(nil))
		}
	}
	for name, c := range map[string]struct {
		damage func(*Store, *engine.Tx)
		want   string
	}{
		"unreadable account": {set(accountKey("alice"), []byte("x")), `account "alice": damaged record`},
		"unreadable state":   {func(_ *Store, tx *engine.Tx) { tx.Set(stateKey(m.id), []byte{9}) }, "damaged record"},
		"no state":           {func(_ *Store, tx *engine.Tx) { tx.Delete(stateKey(m.id)) }, "has no state"},
		"messages":           {ofState(func(st *state) { st.messages++ }), "has 130 messages"},
		"unseen":             {ofState(func(st *state) { st.unseen-- }), "130 unseen"},
		"deleted":            {ofState(func(st *state) { st.deleted++ }), "0 deleted"},
		"size":               {ofState(func(st *state) { st.size++ }), "octets, and counts"},
		"uidnext":            {ofState(func(st *state) { st.next-- }), "is beyond UIDNEXT"},
		"modseq":             {ofState(func(st *state) { st.modSeq = 1 }), "HIGHESTMODSEQ 1"},
		"owner":              {ofState(func(st *state) { st.account++ }), "belongs to account"},
		"tombstones":         {ofState(func(st *state) { st.tombs++ }), "tombstones"},
		"floor":              {ofState(func(st *state) { st.floor = st.modSeq }), "should be forgotten"},
		"page":               {func(_ *Store, tx *engine.Tx) { tx.Set(pageKey(m.id, 1), []byte("xx")) }, "page 1: damaged"},
		"page gone":          {func(_ *Store, tx *engine.Tx) { tx.Delete(pageKey(m.id, 1)) }, "has a record and is not listed"},
		"record":             {func(_ *Store, tx *engine.Tx) { tx.Set(messageKey(m.id, 70), nil) }, "message 70: damaged"},
		"record gone":        {func(_ *Store, tx *engine.Tx) { tx.Delete(messageKey(m.id, 70)) }, "message 70 is listed and has no record"},
		"record of nobody":   {func(_ *Store, tx *engine.Tx) { tx.Set(messageKey(999, 1), mine.append(nil)) }, "mailbox 999: has messages and is not there"},
		"tombstone":          {func(_ *Store, tx *engine.Tx) { tx.Set(expungedKey(m.id, 3), []byte{1, 200}) }, "can't be read"},
		"name":               {func(_ *Store, tx *engine.Tx) { tx.Set(nameKey(keyName, m.account.id, "a//b"), nil) }, `mailbox "a//b": damaged`},
		"inbox":              {func(_ *Store, tx *engine.Tx) { tx.Delete(nameKey(keyName, m.account.id, storage.Inbox)) }, "has no INBOX"},
		"subscription":       {func(_ *Store, tx *engine.Tx) { tx.Set(nameKey(keySubscription, m.account.id, "x"), nil) }, "6 subscriptions"},
		"state of nobody": {func(s *Store, tx *engine.Tx) {
			st, err := s.loadState(m.id)
			require.NoError(t, err)
			tx.Set(stateKey(4711), st.append(nil))
		}, "have a state and"},
		"too many references": {func(_ *Store, tx *engine.Tx) { tx.Ref(mine.blob, 1) }, "counts 1 references more"},
		"too few references":  {func(_ *Store, tx *engine.Tx) { tx.Ref(mine.blob, -1) }, "counts -1 references more"},
		"body of another size": {func(_ *Store, tx *engine.Tx) {
			broken := mine
			broken.size += 5
			tx.Set(messageKey(m.id, mine.uid), broken.append(nil))
		}, "octets, and should have"},
		"no body": {func(_ *Store, tx *engine.Tx) {
			broken := mine
			broken.blob += 3
			tx.Set(messageKey(m.id, mine.uid), broken.append(nil))
		}, "is not there"},
		"retained message":           {setKept(func(*kept) []byte { return []byte{7} }), "retained message 2: damaged"},
		"retained message gone":      {setKept(func(*kept) []byte { return nil }), "is listed by the time when it is over and is not there"},
		"retained for another time":  {setKept(func(k *kept) []byte { k.until++; return k.append(nil) }), "is not listed by the time when it is over"},
		"retained body gone":         {setKept(func(k *kept) []byte { k.blob += 3; return k.append(nil) }), "retained message 2: its body"},
		"retained body of less size": {setKept(func(k *kept) []byte { k.size += 5; return k.append(nil) }), "retained message 2: its body"},
		"time of a retained message": {func(_ *Store, tx *engine.Tx) { tx.Delete(dueKey(lost.until, lost.id)) }, "is not listed by the time"},
		"time of nobody":             {func(_ *Store, tx *engine.Tx) { tx.Set(dueKey(1, 1), []byte("12345678")) }, "retained message 1 until 1: is listed"},
		"unreadable time":            {func(_ *Store, tx *engine.Tx) { tx.Set(dueKey(5, 1), nil) }, "retained message 1 until 5: damaged"},
		"retained for nobody": {func(_ *Store, tx *engine.Tx) {
			tx.Set(keptKey(4711, lost.id), lost.append(nil))
			tx.Set(dueKey(lost.until, lost.id), []byte{0, 0, 0, 0, 0, 0, 18, 103})
		}, "1 are of no account"},
		"numbers of retained messages": {func(s *Store, tx *engine.Tx) {
			c := s.counters
			c.retained = 1
			tx.Set([]byte{keyCounters}, c.append(nil))
		}, "is beyond 1"},
		"deleted mailbox": {func(_ *Store, tx *engine.Tx) { tx.Set(doomedKey(4711), []byte{7}) }, "deleted mailbox 4711: damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "store", quiet(vfs.NewMem()))
			lost = lostMessage(t, s)
			m = inbox(t, s, "alice")
			msgs := make([]storage.NewMessage, 130)
			for i := range msgs {
				msgs[i].Body = text(100)
			}
			_, err := m.Append(t.Context(), msgs...)
			require.NoError(t, err)
			deliver(t, s, "gone", "alice")
			deliver(t, s, "shared", "alice", "bob")
			_, err = m.Expunge(t.Context(), imap.UIDSetNum(131))
			require.NoError(t, err)
			// One message less in the pages, so that the counts below are round.
			_, err = m.Expunge(t.Context(), imap.UIDSetNum(5))
			require.NoError(t, err)
			mine, err = m.record(t.Context(), 132)
			require.NoError(t, err)
			require.Empty(t, damages(t, s))
			require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { c.damage(s, tx); return nil }}))
			found := damages(t, s)
			require.Contains(t, strings.Join(found, "\n"), c.want)
		})
	}
}

// lostMessage retains two messages and returns the second.
func lostMessage(t *testing.T, s *Store) *kept {
	t.Helper()
	deliver(t, s, "one", keeper)
	deliver(t, s, "two", keeper)
	expungeAll(t, inbox(t, s, keeper))
	some, err := accountOf(t, s, keeper).someKept(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, some, 2)
	return &some[1]
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
		return func(f func(engine.BlobID, int) error) error { return f(id, n) }
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
