package local

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

func TestExpungedMessagesAreRetained(t *testing.T) {
	storagetest.RunRetain(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		return inMemory(t, func(o *Options) { o.Settings, o.Now = settings, now })
	})
}

func TestExpungedMessagesAreRetainedWithTinyCaches(t *testing.T) {
	storagetest.RunRetain(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		return inMemory(t, func(o *Options) {
			o.Settings, o.Now = settings, now
			o.Rows, o.States, o.SegmentSize = 1, 2, 64<<10
		})
	})
}

const keeper = "alice" + retains // a user whose expunged messages are retained

// ticks is a clock that a test moves.
type ticks struct {
	mu sync.Mutex
	t  time.Time
}

func newTicks() *ticks { return &ticks{t: time.Unix(1_700_000_000, 0)} }

func (c *ticks) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *ticks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func accountOf(t testing.TB, s *Store, user string) *account {
	t.Helper()
	a, err := s.Account(context.Background(), user)
	require.NoError(t, err)
	return a.(*account)
}

func expungeAll(t testing.TB, m *mailbox) {
	t.Helper()
	_, err := m.Expunge(context.Background(), imap.UIDSet{{Start: 1, Stop: 0}})
	require.NoError(t, err)
}

func keptIDs(t testing.TB, a *account) (ids []storage.RetainedID) {
	t.Helper()
	for k, err := range a.Retained(context.Background()) {
		require.NoError(t, err)
		ids = append(ids, k.ID)
	}
	return ids
}

// bodiesOf returns the octets of live bodies.
func bodiesOf(s *Store) (n int64) {
	for _, seg := range s.e.Stats().Segments {
		n += int64(seg.Bodies)
	}
	return n
}

func TestRetainedBodiesAreFreedWhenTheirTimeIsOver(t *testing.T) {
	clock := newTicks()
	s := inMemory(t, func(o *Options) { o.Now = clock.now })
	deliver(t, s, "Subject: shared\r\n\r\n"+strings.Repeat("line\r\n", 100), keeper, "bob"+retains, "carol@elsewhere.test")
	before := s.e.Stats().Written
	for _, u := range []string{keeper, "bob" + retains, "carol@elsewhere.test"} {
		expungeAll(t, inbox(t, s, u))
	}
	require.Less(t, s.e.Stats().Written-before, uint64(1500), "no content is copied")
	require.NotZero(t, bodiesOf(s))
	sound(t, s)
	_, err := accountOf(t, s, "bob"+retains).Discard(t.Context(), keptIDs(t, accountOf(t, s, "bob"+retains))...)
	require.NoError(t, err)
	require.NotZero(t, bodiesOf(s))
	clock.pass(1000*time.Hour - time.Second)
	_, err = s.Purge(t.Context())
	require.NoError(t, err)
	require.NotZero(t, bodiesOf(s))
	clock.pass(time.Second)
	_, err = s.Purge(t.Context())
	require.NoError(t, err)
	require.Zero(t, bodiesOf(s))
	for _, kind := range []byte{keyKept, keyDue, keyIndex} {
		require.Zero(t, keysOf(t, s, kind), "keys %c", kind)
	}
}

func TestRemovedAccountsRetainNothing(t *testing.T) {
	s := inMemory(t, nil)
	a := accountOf(t, s, keeper)
	require.NoError(t, a.Create(t.Context(), "big", storage.NewMailbox{}))
	msgs := make([]storage.NewMessage, 2*purgeBatch+10)
	for i := range msgs {
		msgs[i].Body = message.FromBytes([]byte("Subject: x\r\n\r\n"))
	}
	for _, name := range []string{"big", "INBOX"} {
		_, err := boxOf(t, s, keeper, name).Append(t.Context(), msgs...)
		require.NoError(t, err)
	}
	expungeAll(t, inbox(t, s, keeper))
	require.NoError(t, a.Delete(t.Context(), "big"))
	require.NoError(t, s.RemoveAccount(t.Context(), keeper))
	require.Eventually(t, func() bool { return keysOf(t, s, keyLeft) == 0 }, 10*time.Second, time.Millisecond)
	for _, kind := range []byte{keyMessage, keyKept, keyDue, keyDoomed, keyIndex} {
		require.Zero(t, keysOf(t, s, kind), "keys %c", kind)
	}
	require.Zero(t, bodiesOf(s))
}

// TestDeletedMailboxIsRetainedAfterACrash deletes a mailbox, does a part of what
// the purger does, and opens the store again.
func TestDeletedMailboxIsRetainedAfterACrash(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	a := accountOf(t, s, keeper)
	require.NoError(t, a.Create(t.Context(), "big", storage.NewMailbox{}))
	big := boxOf(t, s, keeper, "big")
	msgs := make([]storage.NewMessage, 2*purgeBatch+50)
	for i := range msgs {
		msgs[i].Body = message.FromBytes([]byte(fmt.Sprintf("Subject: %d\r\n\r\n", i)))
	}
	_, err := big.Append(t.Context(), msgs...)
	require.NoError(t, err)
	_, _, err = big.StoreFlags(t.Context(), storage.FlagUpdate{UIDs: imap.UIDSetNum(3, 700), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("seldom")})
	require.NoError(t, err)
	s.purger.stop() // as if it were slow
	require.NoError(t, a.Delete(t.Context(), "big"))
	sound(t, s)
	n, err := s.purger.someMessages(t.Context(), big.id)
	require.NoError(t, err)
	require.Equal(t, purgeBatch, n)
	sound(t, s)
	require.NoError(t, s.Close())

	s = open(t, "store", quiet(fs))
	a = accountOf(t, s, keeper)
	var got []imap.UID
	for k, err := range a.Retained(t.Context()) {
		require.NoError(t, err)
		got = append(got, k.UID)
		require.Equal(t, k.UID == 3 || k.UID == 700, k.Flags.HasKeyword("seldom"))
	}
	require.Len(t, got, len(msgs), "each once, and all at once though the purger is still at it")
	require.EqualValues(t, 1, got[0])
	require.EqualValues(t, len(msgs), got[len(got)-1])
	require.Eventually(t, func() bool { return keysOf(t, s, keyDoomed) == 0 }, 10*time.Second, time.Millisecond)
	sound(t, s)
}

// TestDeletedMailboxesOfEarlierVersionsAreClearedAway has one of which nothing
// is known but that it was deleted.
func TestDeletedMailboxesOfEarlierVersionsAreClearedAway(t *testing.T) {
	s := inMemory(t, nil)
	a := accountOf(t, s, keeper)
	require.NoError(t, a.Create(t.Context(), "old", storage.NewMailbox{}))
	deliver(t, s, "x", keeper)
	_, err := inbox(t, s, keeper).Move(t.Context(), imap.UIDSetNum(1), "old")
	require.NoError(t, err)
	s.purger.stop()
	require.NoError(t, a.Delete(t.Context(), "old"))
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error {
		return tx.Scan([]byte{keyDoomed}, []byte{keyDoomed + 1}, func(k, _ []byte) error { tx.Set(k, nil); return nil })
	}}))
	require.NoError(t, s.purger.clear(t.Context()))
	require.Zero(t, keysOf(t, s, keyMessage)+keysOf(t, s, keyKept)+keysOf(t, s, keyDoomed))
	require.Zero(t, bodiesOf(s))
}

// TestTimeOfRetainedMessagesEndsOnItsOwn lets time pass in the test's own world.
func TestTimeOfRetainedMessagesEndsOnItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quiet(vfs.NewMem())
		retention := 6 * time.Hour
		o.Settings = func(string) storage.Settings { return storage.Settings{Retention: retention} }
		s, err := Open("store", o)
		require.NoError(t, err)
		defer s.Close()
		deliver(t, s, "first", keeper)
		expungeAll(t, inbox(t, s, keeper))
		time.Sleep(time.Hour)
		deliver(t, s, "second", keeper)
		retention = 10 * time.Minute // for what is expunged from now on
		expungeAll(t, inbox(t, s, keeper))
		synctest.Wait()
		require.Equal(t, 2, keysOf(t, s, keyKept))
		time.Sleep(10*time.Minute + expirePause)
		synctest.Wait()
		require.Equal(t, 1, keysOf(t, s, keyKept), "the second, whose time was over first")
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		require.Zero(t, keysOf(t, s, keyKept)+keysOf(t, s, keyDue))
		require.Zero(t, bodiesOf(s))
	})
}

// TestPurgeByAgeIsDoneDaily likewise.
func TestPurgeByAgeIsDoneDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quiet(vfs.NewMem())
		o.Settings = func(string) storage.Settings {
			return storage.Settings{Purge: []storage.Purge{{Attr: imap.MailboxAttrTrash, Age: 5 * time.Minute}}}
		}
		s, err := Open("store", o)
		require.NoError(t, err)
		defer s.Close()
		accountOf(t, s, "alice")
		trash := boxOf(t, s, "alice", "Trash")
		for _, d := range []time.Duration{firstPurge, purgeEvery} {
			_, err := trash.Append(t.Context(), storage.NewMessage{Body: message.FromBytes([]byte("x"))})
			require.NoError(t, err)
			time.Sleep(d - time.Minute)
			synctest.Wait()
			require.Equal(t, 1, keysOf(t, s, keyMessage))
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			require.Zero(t, keysOf(t, s, keyMessage))
		}
	})
}

// TestExpiringIsNoBusyWork counts what a store does while retained messages are
// due every few seconds: it waits until there are some.
func TestExpiringIsNoBusyWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quiet(vfs.NewMem())
		o.Settings = func(string) storage.Settings { return storage.Settings{Retention: time.Hour} }
		s, err := Open("store", o)
		require.NoError(t, err)
		defer s.Close()
		for range 100 {
			deliver(t, s, "x", keeper)
			expungeAll(t, inbox(t, s, keeper))
			time.Sleep(3 * time.Second)
		}
		synctest.Wait()
		require.Equal(t, 100, keysOf(t, s, keyKept))
		before := s.e.Stats().Syncs
		time.Sleep(time.Hour + expirePause)
		synctest.Wait()
		require.Zero(t, keysOf(t, s, keyKept))
		require.LessOrEqual(t, s.e.Stats().Syncs-before, uint64(7))
	})
}

// TestDamagedRetainedMessageKeepsNoOther has two that can't be removed.
func TestDamagedRetainedMessageKeepsNoOther(t *testing.T) {
	clock := newTicks()
	o := quiet(vfs.NewMem())
	o.Now = clock.now
	s := open(t, "store", o)
	for range 5 {
		deliver(t, s, "x", keeper)
	}
	m := inbox(t, s, keeper)
	rec, err := m.record(t.Context(), 4)
	require.NoError(t, err)
	expungeAll(t, m)
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error {
		tx.Set(keptKey(m.account.id, 2), []byte{9})
		tx.Ref(rec.blob, -1)
		return nil
	}}))
	require.Equal(t, []storage.RetainedID{1, 3, 4, 5}, keptIDs(t, m.account))
	clock.pass(9999 * time.Hour)
	_, err = s.Purge(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, keysOf(t, s, keyKept))
	require.NoError(t, s.RemoveAccount(t.Context(), keeper))
	require.Eventually(t, func() bool { return keysOf(t, s, keyLeft) == 0 }, 10*time.Second, time.Millisecond)
	require.Zero(t, keysOf(t, s, keyKept))
}

// TestPurgeGoesByTheOrderOfSaveDates has messages from when the clock was wrong.
func TestPurgeGoesByTheOrderOfSaveDates(t *testing.T) {
	clock := newTicks()
	const day = 24 * time.Hour
	s := inMemory(t, func(o *Options) {
		o.Now = clock.now
		o.Settings = func(string) storage.Settings {
			return storage.Settings{Purge: []storage.Purge{{Attr: imap.MailboxAttrTrash, Age: 30 * day}}}
		}
	})
	accountOf(t, s, "alice")
	trash := boxOf(t, s, "alice", "Trash")
	put := func() {
		_, err := trash.Append(t.Context(), storage.NewMessage{Body: message.FromBytes([]byte("x"))})
		require.NoError(t, err)
	}
	left := func() (uids []imap.UID) {
		_, err := s.Purge(t.Context())
		require.NoError(t, err)
		for m, err := range trash.Messages(t.Context(), 0) {
			require.NoError(t, err)
			uids = append(uids, m.UID)
		}
		return uids
	}
	put()
	rec, err := trash.record(t.Context(), 1)
	require.NoError(t, err)
	rec.saved = 0 // of an earlier version
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { tx.Set(messageKey(trash.id, 1), rec.append(nil)); return nil }}))
	clock.pass(1000 * day)
	put()
	clock.pass(-1000 * day)
	put()
	require.Equal(t, []imap.UID{1, 2, 3}, left())
	clock.pass(29 * day)
	put()
	clock.pass(day)
	require.Equal(t, []imap.UID{1, 2, 4}, left(), "2 has a date that is still to come")
	clock.pass(1000 * day)
	require.Equal(t, []imap.UID{1}, left(), "nobody knows when 1 came")
}

// TestNameOfARenamedMailboxIsTheOneItHas expunges through a mailbox that was
// opened under another name.
func TestNameOfARenamedMailboxIsTheOneItHas(t *testing.T) {
	s := inMemory(t, nil)
	a := accountOf(t, s, keeper)
	require.NoError(t, a.Create(t.Context(), "old", storage.NewMailbox{}))
	deliver(t, s, "x", keeper)
	_, err := inbox(t, s, keeper).Move(t.Context(), imap.UIDSetNum(1), "old")
	require.NoError(t, err)
	m := boxOf(t, s, keeper, "old")
	require.NoError(t, a.Rename(t.Context(), "old", "new"))
	require.NoError(t, a.Create(t.Context(), "old", storage.NewMailbox{}))
	expungeAll(t, m)
	for k, err := range a.Retained(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, "new", k.Mailbox)
	}
	require.Len(t, keptIDs(t, a), 1)
}

func TestTooManyForOneChangeAreSeveral(t *testing.T) {
	var all []record
	for i := range 1000 {
		all = append(all, record{listed: listed{row: row{uid: uint32(i + 1)}}, prefix: make([]byte, maxPrefix)})
	}
	total, parts := 0, 0
	for more := true; more; parts++ {
		var some []record
		some, more = atOnce(all[total:])
		size := 0
		for i := range some {
			size += len((&kept{record: some[i]}).append(nil)) + 60
		}
		require.LessOrEqual(t, size, maxAtOnce)
		total += len(some)
	}
	require.Equal(t, len(all), total)
	require.Equal(t, 3, parts)
}
