package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// inMemory opens a store that is checked when the test is over.
func inMemory(t testing.TB, change func(*Options)) *Store {
	o := quiet(vfs.NewMem())
	if change != nil {
		change(&o)
	}
	s := open(t, "store", o)
	t.Cleanup(func() {
		if !s.closed.Load() {
			sound(t, s)
		}
	})
	return s
}

func inbox(t testing.TB, s *Store, user string) *mailbox {
	t.Helper()
	return boxOf(t, s, user, storage.Inbox)
}

func boxOf(t testing.TB, s *Store, user, name string) *mailbox {
	t.Helper()
	a, err := s.Account(context.Background(), user)
	require.NoError(t, err)
	m, err := a.Mailbox(context.Background(), name)
	require.NoError(t, err)
	return m.(*mailbox)
}

func deliver(t testing.TB, s *Store, text string, users ...string) []storage.Receipt {
	t.Helper()
	d := &storage.Delivery{Body: message.FromBytes([]byte(text))}
	for _, u := range users {
		d.Targets = append(d.Targets, storage.Target{User: u})
	}
	r, err := s.Deliver(context.Background(), d)
	require.NoError(t, err)
	for _, x := range r {
		require.NoError(t, x.Err)
	}
	return r
}

func TestStoreKeepsThePromisesOfStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return inMemory(t, nil) })
}

// TestStoreKeepsThePromisesWithTinyCaches makes every mailbox come from disk
// again and again.
func TestStoreKeepsThePromisesWithTinyCaches(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return inMemory(t, func(o *Options) { o.Rows, o.States, o.SegmentSize = 1, 2, 64<<10 })
	})
}

func TestDefaultsHaveKinds(t *testing.T) {
	storagetest.RunDefaults(t, func(t *testing.T) storage.Store {
		return inMemory(t, func(o *Options) { o.Mailboxes = storagetest.KindDefaults() })
	})
}

func TestNewMailboxesInheritNoListWhereListsAreInherited(t *testing.T) {
	storagetest.RunACLInherit(t, func(t *testing.T) storage.Store {
		return inMemory(t, func(o *Options) {
			o.Settings = func(domain string) storage.Settings {
				if domain != "example.test" {
					return storage.Settings{}
				}
				return storage.Settings{ACL: storage.ACLInherit}
			}
		})
	})
}

func TestStoreWithDefaultsThatCannotBeMadeDoesNotOpen(t *testing.T) {
	for _, d := range []storage.Default{{Name: "a//b"}, {Name: "INBOX/x", Kind: storage.Calendar}} {
		o := quiet(vfs.NewMem())
		o.Mailboxes = []storage.Default{d}
		_, err := Open("store", o)
		require.Error(t, err, d.Name)
	}
}

func TestSyncsPerDelivery(t *testing.T) {
	s := inMemory(t, nil)
	deliver(t, s, "x", "alice")
	before := s.e.Stats()
	for range 50 {
		deliver(t, s, "Subject: x\r\n\r\nhello", "alice")
	}
	after := s.e.Stats()
	require.EqualValues(t, 50, after.Syncs-before.Syncs, "one delivery, one sync")

	before = after
	deliver(t, s, strings.Repeat("line\r\n", 1000), "alice", "bob", "carol", "dave")
	require.EqualValues(t, 1, s.e.Stats().Syncs-before.Syncs, "many mailboxes, new accounts, one sync")

	m := inbox(t, s, "alice")
	before = s.e.Stats()
	_, _, err := m.StoreFlags(t.Context(), storage.FlagUpdate{UIDs: imap.UIDSet{{Start: 1, Stop: 0}}, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen)})
	require.NoError(t, err)
	require.EqualValues(t, 1, s.e.Stats().Syncs-before.Syncs, "flags of all, one sync")
}

// slowSync makes every sync take a while, as disks do.
type slowSync struct{ vfs.FS }

type slowFile struct{ vfs.File }

func (f slowFile) SyncData() error { time.Sleep(time.Millisecond); return f.File.SyncData() }
func (f slowFile) Sync() error     { time.Sleep(time.Millisecond); return f.File.Sync() }

func (s slowSync) Unwrap() vfs.FS { return s.FS }

func (s slowSync) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return slowFile{f}, err
}

func (s slowSync) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(name, c, o...)
	return slowFile{f}, err
}

func TestConcurrentDeliveriesShareSyncs(t *testing.T) {
	s := open(t, "store", quiet(slowSync{vfs.NewMem()}))
	before := s.e.Stats()
	const workers, each = 64, 20
	var g sync.WaitGroup
	for w := range workers {
		g.Go(func() {
			for range each {
				if _, err := s.Deliver(t.Context(), &storage.Delivery{Body: message.FromBytes([]byte("x")), Targets: []storage.Target{{User: fmt.Sprint("user", w)}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	syncs := s.e.Stats().Syncs - before.Syncs
	require.Less(t, syncs, uint64(workers*each/25), "%d syncs for %d deliveries", syncs, workers*each)
}

func TestOneBodyServesAllMailboxes(t *testing.T) {
	s := inMemory(t, nil)
	text := strings.Repeat("0123456789abcde\n", 4096)
	users := make([]string, 20)
	for i := range users {
		users[i] = fmt.Sprint("user", i)
	}
	deliver(t, s, text, users...)
	stats := s.e.Stats()
	require.Less(t, stats.Written, uint64(2*len(text)))
	for i, u := range users {
		m := inbox(t, s, u)
		_, err := m.Expunge(t.Context(), imap.UIDSetNum(1))
		require.NoError(t, err)
		live := s.e.Stats().Segments[0].Bodies
		require.Equal(t, i < len(users)-1, live > 0, "the body goes with the last message")
	}
}

func TestIndexThatWasLostIsMadeAgain(t *testing.T) {
	s := inMemory(t, nil)
	text := "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("one\r\n", 1000) + "--b--\r\n"
	deliver(t, s, text, "alice")
	m := inbox(t, s, "alice")
	want, err := m.Index(t.Context(), 1)
	require.NoError(t, err)
	rec, err := m.record(t.Context(), 1)
	require.NoError(t, err)
	for _, lost := range [][]byte{nil, []byte("nonsense")} {
		require.NoError(t, s.e.PutCache(indexKey(rec.place), lost))
		got, err := m.Index(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, ok, err := s.e.Get(indexKey(rec.place))
		require.NoError(t, err)
		require.True(t, ok, "it is kept again")
	}
}

func TestTombstonesThatAreGoneAskForResync(t *testing.T) {
	s := inMemory(t, nil)
	deliver(t, s, "x", "alice")
	m := inbox(t, s, "alice")
	var since []uint64
	for i := range maxTombs + 5 {
		r := deliver(t, s, "x", "alice")
		_, err := m.Expunge(t.Context(), imap.UIDSetNum(r[0].UID))
		require.NoError(t, err)
		st, err := m.Status(t.Context())
		require.NoError(t, err)
		since = append(since, st.HighestModSeq)
		if i < maxTombs {
			_, err = m.Expunged(t.Context(), 0)
			require.NoError(t, err, "after %d", i+1)
		}
	}
	_, err := m.Expunged(t.Context(), 0)
	require.ErrorIs(t, err, storage.ErrResync)
	_, err = m.Expunged(t.Context(), since[dropTombs-2])
	require.ErrorIs(t, err, storage.ErrResync)
	set, err := m.Expunged(t.Context(), since[dropTombs-1])
	require.NoError(t, err)
	n := 0
	for _, r := range set {
		n += int(r.Stop-r.Start) + 1
	}
	require.Equal(t, maxTombs+5-dropTombs, n)
}

func TestUIDValidityOfNamesGrowsThoughTheyAreForgotten(t *testing.T) {
	s := inMemory(t, nil)
	a, err := s.Account(t.Context(), "alice")
	require.NoError(t, err)
	require.NoError(t, a.Create(t.Context(), "old", storage.NewMailbox{}))
	require.NoError(t, a.Create(t.Context(), "name0", storage.NewMailbox{}))
	young, err := boxOf(t, s, "alice", "name0").Status(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Delete(t.Context(), "name0"))
	for i := range maxFreed + 10 {
		name := fmt.Sprint("name", i+1)
		require.NoError(t, a.Create(t.Context(), name, storage.NewMailbox{}))
		require.NoError(t, a.Delete(t.Context(), name))
	}
	require.NoError(t, a.Rename(t.Context(), "old", "name0"))
	now, err := boxOf(t, s, "alice", "name0").Status(t.Context())
	require.NoError(t, err)
	require.Greater(t, now.UIDValidity, young.UIDValidity)
}

func TestDeletedMailboxesAreClearedAway(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	m := inbox(t, s, "alice")
	a := m.account
	require.NoError(t, a.Create(t.Context(), "big", storage.NewMailbox{}))
	big := boxOf(t, s, "alice", "big")
	msgs := make([]storage.NewMessage, 3*purgeBatch)
	for i := range msgs {
		msgs[i].Body = message.FromBytes([]byte("Subject: x\r\n\r\n"))
	}
	_, err := big.Append(t.Context(), msgs...)
	require.NoError(t, err)
	_, err = big.Expunge(t.Context(), imap.UIDSetNum(5))
	require.NoError(t, err)
	_, err = big.TakeRecent(t.Context())
	require.NoError(t, err)
	s.purger.stop() // as if it were slow
	require.NoError(t, a.Delete(t.Context(), "big"))
	sound(t, s)
	require.NoError(t, s.Close())

	s = open(t, "store", quiet(fs))
	require.Eventually(t, func() bool { return keysOf(t, s, keyDoomed) == 0 }, 10*time.Second, time.Millisecond)
	for _, kind := range []byte{keyMessage, keyPage, keyExpunged, keyRecent, keyIndex} {
		require.Zero(t, keysOf(t, s, kind), "keys %c", kind)
	}
	require.Zero(t, s.e.Stats().Segments[0].Bodies)
	sound(t, s)
}

func keysOf(t testing.TB, s *Store, kind byte) (n int) {
	t.Helper()
	require.NoError(t, s.e.Scan(context.Background(), []byte{kind}, []byte{kind + 1}, func(_, _ []byte) error { n++; return nil }))
	return n
}

func TestClosedStoreRefusesEverything(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := open(t, "store", quiet(vfs.NewMem()))
	deliver(t, s, "Subject: x\r\n\r\nstill there", "alice")
	m := inbox(t, s, "alice")
	body, err := m.Open(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Account(t.Context(), "alice")
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = s.Deliver(t.Context(), &storage.Delivery{Targets: []storage.Target{{User: "alice"}}})
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = m.Status(t.Context())
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = m.account.Mailboxes(t.Context())
	require.ErrorIs(t, err, storage.ErrClosed)
	require.ErrorIs(t, m.account.Create(t.Context(), "x", storage.NewMailbox{}), storage.ErrClosed)
	_, err = m.Expunge(t.Context(), imap.UIDSetNum(1))
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = m.TakeRecent(t.Context())
	require.ErrorIs(t, err, storage.ErrClosed)
	require.ErrorIs(t, s.Check(t.Context(), nil), storage.ErrClosed)
	var text bytes.Buffer
	_, err = text.ReadFrom(message.NewReader(body))
	require.NoError(t, err)
	require.Contains(t, text.String(), "still there")
	require.NoError(t, body.Close())
}

func TestSecondOpenOfADirectoryIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	open(t, "store", quiet(fs))
	_, err := Open("store", quiet(fs))
	require.ErrorIs(t, err, engine.ErrLocked)
}

// TestRefusedChangeLeavesNothingInMemory builds a delivery into a change that
// is refused afterwards, as a queue that shares the record could do.
func TestRefusedChangeLeavesNothingInMemory(t *testing.T) {
	s := inMemory(t, nil)
	deliver(t, s, "first", "alice")
	m := inbox(t, s, "alice")
	before, err := m.Status(t.Context())
	require.NoError(t, err)
	refused := errors.New("refused")
	for range 3 {
		st, err := s.Prepare(t.Context(), &storage.Delivery{Body: message.FromBytes([]byte("second")), Targets: []storage.Target{
			{User: "alice"}, {User: "bob"}, {User: "alice", Mailbox: "New", Create: true}, {User: "alice", Mailbox: "New"},
		}})
		require.NoError(t, err)
		require.ErrorIs(t, s.e.Commit(t.Context(), st.Change(func(*engine.Tx) error { return refused })), refused)
		// A change that can't be made although everything built it.
		require.ErrorIs(t, s.e.Commit(t.Context(), st.Change(func(tx *engine.Tx) error { tx.Ref(1<<40, -1); return nil })), engine.ErrNoBlob)
	}
	require.Empty(t, s.pending.ops)
	for _, l := range s.lives.young {
		require.Nil(t, l.last)
	}
	require.Empty(t, s.pending.trees)
	after, err := m.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
	r := deliver(t, s, "third", "alice", "bob")
	require.EqualValues(t, 2, r[0].UID)
	require.EqualValues(t, 1, r[1].UID)
}

func TestStoreKeepsThePromisesAboutQuotas(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"":                 func(*Options) {},
		"with tiny caches": func(o *Options) { o.Rows, o.States, o.SegmentSize = 1, 2, 64<<10 },
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.RunQuota(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
				return inMemory(t, func(o *Options) { change(o); o.Settings, o.Now = settings, now })
			})
		})
	}
}
