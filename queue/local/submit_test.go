package local

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// openStore opens a store and its queue.
func openStore(t testing.TB, fs vfs.FS) (*storagelocal.Store, *Queue) {
	s, err := storagelocal.Open("data", storagelocal.Options{FS: fs, Logger: quietLog})
	require.NoError(t, err)
	q, err := New(s, Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = q.Close()
		_ = s.Close()
	})
	return s, q
}

func outgoing(addresses ...string) *queue.Message {
	m := &queue.Message{Prefix: []byte("Received: here\r\n"), Body: message.FromBytes([]byte("Subject: x\r\n\r\nHello.\r\n"))}
	for _, a := range addresses {
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	return m
}

func incomingTo(users ...string) *storage.Delivery {
	d := &storage.Delivery{Body: message.FromBytes([]byte("Subject: x\r\n\r\nHello.\r\n"))}
	for _, u := range users {
		d.Targets = append(d.Targets, storage.Target{User: u, Prefix: []byte("Delivered-To: " + u + "\r\n")})
	}
	return d
}

// inbox returns the contents of a user's INBOX.
func inbox(t testing.TB, s *storagelocal.Store, user string) []string {
	a, err := s.Account(testContext, user)
	require.NoError(t, err)
	m, err := a.Mailbox(testContext, "INBOX")
	require.NoError(t, err)
	var all []string
	for msg, err := range m.Messages(testContext, 0) {
		require.NoError(t, err)
		b, err := m.Open(testContext, msg.UID)
		require.NoError(t, err)
		all = append(all, contentOfBody(t, b))
		require.NoError(t, b.Close())
	}
	return all
}

func contentOfBody(t testing.TB, b message.Body) string {
	p := make([]byte, b.Size())
	_, err := message.NewReader(b).Read(p)
	require.NoError(t, err)
	return string(p)
}

func TestSubmitWritesOnceAndBothKeepIt(t *testing.T) {
	fs := vfs.NewMem()
	s, q := openStore(t, fs)
	before := s.Engine().Stats()
	receipts, id, err := q.Submit(testContext, incomingTo("alice", "bob"), outgoing("x@one.test", "y@two.test"))
	require.NoError(t, err)
	after := s.Engine().Stats()
	require.EqualValues(t, 1, after.Changes-before.Changes, "one record for both")
	require.Len(t, receipts, 2)
	for _, r := range receipts {
		require.NoError(t, r.Err)
		require.NotZero(t, r.UID)
	}
	n := 0
	now := s.Engine().Snapshot()
	require.NoError(t, q.References(now, func(b engine.BlobID, k int) error {
		require.EqualValues(t, id, b)
		n += k
		return nil
	}))
	require.NoError(t, now.Close())
	require.Equal(t, 1, n)

	claims, err := q.Claim(testContext, 10, time.Hour)
	require.NoError(t, err)
	require.Len(t, claims, 2)
	for _, c := range claims {
		require.Equal(t, "Received: here\r\nSubject: x\r\n\r\nHello.\r\n", contentOfBody(t, c.Body))
		require.NoError(t, q.Settle(testContext, c, []queue.Outcome{{Done: true}}))
	}
	require.Equal(t, []string{"Delivered-To: alice\r\nSubject: x\r\n\r\nHello.\r\n"}, inbox(t, s, "alice"), "the mailbox keeps the body that the queue is done with")
	require.NoError(t, q.Close())
	require.NoError(t, s.Close())
	s, q = openStore(t, fs)
	require.Len(t, inbox(t, s, "bob"), 1)
	claims, err = q.Claim(testContext, 10, time.Hour)
	require.NoError(t, err)
	require.Empty(t, claims)
}

func TestSubmitOfOneSideAlone(t *testing.T) {
	s, q := openStore(t, vfs.NewMem())
	receipts, id, err := q.Submit(testContext, incomingTo("alice"), nil)
	require.NoError(t, err)
	require.Len(t, receipts, 1)
	require.Zero(t, id)
	receipts, id, err = q.Submit(testContext, nil, outgoing("x@one.test"))
	require.NoError(t, err)
	require.Empty(t, receipts)
	require.NotZero(t, id)
	receipts, id, err = q.Submit(testContext, nil, nil)
	require.NoError(t, err)
	require.Empty(t, receipts)
	require.Zero(t, id)
	require.Len(t, inbox(t, s, "alice"), 1)
}

func TestSubmitQueuesWhatNoMailboxTakes(t *testing.T) {
	_, q := openStore(t, vfs.NewMem())
	d := incomingTo("alice")
	d.Targets[0].Mailbox = "No/Such/Box"
	receipts, id, err := q.Submit(testContext, d, outgoing("x@one.test"))
	require.NoError(t, err)
	require.ErrorIs(t, receipts[0].Err, storage.ErrNoMailbox)
	b, err := q.Content(testContext, id)
	require.NoError(t, err)
	require.Contains(t, contentOfBody(t, b), "Hello.")
	require.NoError(t, b.Close())
}

func TestSubmitRefusedStoresNothing(t *testing.T) {
	s, q := openStore(t, vfs.NewMem())
	_, _, err := q.Submit(testContext, incomingTo("alice"), outgoing())
	require.ErrorIs(t, err, queue.ErrBadMessage)
	require.Empty(t, inbox(t, s, "alice"))
}

// failing is a disk that fails its writes and syncs while it is told to.
type failing struct {
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) String() string { return "failing" }

func (f *failing) MaybeError(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return f.err
	}
	return nil
}

func TestS29FullDiskRefusesAndForgetsNothing(t *testing.T) {
	disk := new(failing)
	s, q := openStore(t, errorfs.Wrap(vfs.NewMem(), disk))
	kept, err := q.Put(testContext, outgoing("a@one.test", "b@one.test"))
	require.NoError(t, err)
	claims, err := q.Claim(testContext, 1, time.Hour)
	require.NoError(t, err)
	c := claims[0]

	disk.set(syscall.ENOSPC)
	_, err = q.Put(testContext, outgoing("x@two.test"))
	require.ErrorIs(t, err, queue.ErrFull)
	_, _, err = q.Submit(testContext, incomingTo("alice"), outgoing("x@two.test"))
	require.ErrorIs(t, err, queue.ErrFull)
	outcomes := []queue.Outcome{{Done: true}, {Retry: time.Now().Add(time.Hour)}}
	require.ErrorIs(t, q.Settle(testContext, c, outcomes), queue.ErrFull)
	_, err = q.Remove(testContext, []queue.ID{kept})
	require.NoError(t, err, "what is claimed is left alone")

	disk.set(nil)
	require.NoError(t, q.Settle(testContext, c, outcomes), "the claim stands")
	entries := 0
	require.NoError(t, q.List(testContext, func(e queue.Entry) bool {
		require.Equal(t, "b@one.test", e.To.String())
		require.Equal(t, 1, e.Attempts)
		entries++
		return true
	}))
	require.Equal(t, 1, entries)
	require.Empty(t, inbox(t, s, "alice"))
	require.NoError(t, q.Check(testContext, func(damage string) { require.Fail(t, damage) }))
}

func TestS29FailedSyncRefusesChangesAndServesOn(t *testing.T) {
	disk := new(failing)
	_, q := openStore(t, errorfs.Wrap(vfs.NewMem(), disk))
	id, err := q.Put(testContext, outgoing("a@one.test"))
	require.NoError(t, err)
	disk.set(syscall.EIO)
	_, err = q.Put(testContext, outgoing("x@two.test"))
	require.ErrorIs(t, err, syscall.EIO)
	disk.set(nil)
	_, err = q.Put(testContext, outgoing("x@two.test"))
	require.ErrorIs(t, err, engine.ErrFailed)
	require.Equal(t, 451, mail.AsReply(err).Code)
	claims, err := q.Claim(testContext, 10, time.Hour)
	require.NoError(t, err)
	require.Len(t, claims, 1)
	require.EqualValues(t, id, claims[0].ID)
	require.Error(t, q.Settle(testContext, claims[0], []queue.Outcome{{Done: true}}))
}

func TestSyncsAreShared(t *testing.T) {
	s, q := openStore(t, vfs.NewMem())
	stats := s.Engine().Stats
	before := stats()
	for range 50 {
		_, err := q.Put(testContext, outgoing("a@one.test"))
		require.NoError(t, err)
	}
	for range 50 {
		claims, err := q.Claim(testContext, 1, time.Hour)
		require.NoError(t, err)
		require.NoError(t, q.Settle(testContext, claims[0], []queue.Outcome{{Done: true}}))
	}
	require.LessOrEqual(t, stats().Syncs-before.Syncs, uint64(102), "a change alone is one sync, and a claim is none")
}

func TestReopenGivesWhatWasLeft(t *testing.T) {
	fs := vfs.NewMem()
	_, q := openStore(t, fs)
	for i := range 300 {
		_, err := q.Put(testContext, outgoing(fmt.Sprintf("a@d%d.test", i%7), fmt.Sprintf("b@d%d.test", i%7)))
		require.NoError(t, err)
	}
	claims, err := q.Claim(testContext, 100, time.Hour)
	require.NoError(t, err)
	for i, c := range claims {
		switch i % 3 {
		case 0:
			require.NoError(t, q.Settle(testContext, c, []queue.Outcome{{Done: true}, {Done: true}}))
		case 1:
			require.NoError(t, q.Settle(testContext, c, []queue.Outcome{{Done: true}, {Retry: time.Now().Add(-time.Second)}}))
		}
	}
	for range 3 {
		require.NoError(t, q.Close())
		require.NoError(t, q.store.Close())
		_, q = openStore(t, fs)
		due, _ := q.Next()
		require.False(t, due.IsZero())
		claims, err = q.Claim(testContext, 1000, time.Hour)
		require.NoError(t, err)
		recipients := 0
		for _, c := range claims {
			recipients += len(c.States)
		}
		require.Equal(t, 300-34, len(claims), "leases are lost, recipients are not")
		require.Equal(t, 2*(300-34)-33, recipients)
	}
}

func TestClosedQueueRefusesWork(t *testing.T) {
	s, q := openStore(t, vfs.NewMem())
	_, err := q.Put(testContext, outgoing("a@one.test"))
	require.NoError(t, err)
	claims, err := q.Claim(testContext, 1, time.Hour)
	require.NoError(t, err)
	_, changed := q.Next()
	require.NoError(t, q.Close())
	<-changed
	require.NoError(t, q.Close())
	_, err = q.Put(testContext, outgoing("a@one.test"))
	require.ErrorIs(t, err, queue.ErrClosed)
	require.ErrorIs(t, q.Settle(testContext, claims[0], []queue.Outcome{{Done: true}}), queue.ErrClosed)
	require.NoError(t, s.Close())
}

func nameOf(id queue.ID, number uint32) name { return name{engine.BlobID(id), number} }

// A message that can't be read is set aside until its lease ends; it delays
// nobody.
func TestDamagedMessageDelaysNoOther(t *testing.T) {
	clock := time.Now()
	fs := vfs.NewMem()
	s, err := storagelocal.Open("data", storagelocal.Options{FS: fs, Logger: quietLog})
	require.NoError(t, err)
	defer s.Close()
	q, err := New(s, Options{Now: func() time.Time { return clock }})
	require.NoError(t, err)
	defer q.Close()
	bad, err := q.Put(testContext, outgoing("a@one.test"))
	require.NoError(t, err)
	require.NoError(t, q.engine.Commit(testContext, &engine.Change{Build: func(tx *engine.Tx) error {
		tx.Set(messageKey(engine.BlobID(bad)), []byte("spoilt"))
		return nil
	}}))
	good, err := q.Put(testContext, outgoing("b@one.test"))
	require.NoError(t, err)
	claims, err := q.Claim(testContext, 1, time.Hour)
	require.NoError(t, err)
	require.Len(t, claims, 1)
	require.Equal(t, good, claims[0].ID)
	listed := 0
	require.NoError(t, q.List(testContext, func(e queue.Entry) bool {
		require.Equal(t, good, e.ID)
		listed++
		return true
	}))
	require.Equal(t, 1, listed)
	require.NoError(t, q.Settle(testContext, claims[0], []queue.Outcome{{Done: true}}))
	due, _ := q.Next()
	require.True(t, due.Equal(claims[0].Until), "it comes again when its lease ends")
}

// A group larger than a page, which somebody holds, is in the way of Wake.
func TestWakePassesAClaimedGroup(t *testing.T) {
	_, q := openStore(t, vfs.NewMem())
	m := outgoing()
	for i := range 2 * pageSize {
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(fmt.Sprintf("u%d@one.test", i))})
	}
	_, err := q.Put(testContext, m)
	require.NoError(t, err)
	claims, err := q.Claim(testContext, 1, time.Hour)
	require.NoError(t, err)
	later := make([]queue.Outcome, 2*pageSize)
	for i := range later {
		later[i].Retry = time.Now().Add(time.Hour)
	}
	require.NoError(t, q.Settle(testContext, claims[0], later))
	for range 3 {
		m := outgoing("z@one.test")
		m.NotBefore = time.Now().Add(2 * time.Hour)
		_, err := q.Put(testContext, m)
		require.NoError(t, err)
	}
	var names []name
	require.NoError(t, q.List(testContext, func(e queue.Entry) bool {
		if len(names) < 2*pageSize {
			names = append(names, nameOf(e.ID, uint32(len(names))))
		}
		return true
	}))
	q.update(func(s *schedule, now int64) { s.reserve("one.test", names, now) })
	n, err := q.Wake(testContext, "one.test")
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

// TestSubmitToAccountsWithBounds submits to accounts of which nobody knows yet
// what they hold, then to one that is full.
func TestSubmitToAccountsWithBounds(t *testing.T) {
	fs := vfs.NewMem()
	o := storagelocal.Options{FS: fs, Logger: quietLog, Settings: func(string) storage.Settings {
		return storage.Settings{Quota: storage.Quota{Messages: 2}}
	}}
	for range 2 {
		s, err := storagelocal.Open("data", o)
		require.NoError(t, err)
		q, err := New(s, Options{})
		require.NoError(t, err)
		receipts, _, err := q.Submit(testContext, incomingTo("alice", "bob"), outgoing("x@one.test"))
		require.NoError(t, err)
		require.NoError(t, receipts[0].Err)
		require.NoError(t, receipts[1].Err)
		require.NoError(t, q.Close())
		require.NoError(t, s.Close())
	}
	s, err := storagelocal.Open("data", o)
	require.NoError(t, err)
	defer s.Close()
	q, err := New(s, Options{})
	require.NoError(t, err)
	defer q.Close()
	receipts, _, err := q.Submit(testContext, incomingTo("alice", "carol"), outgoing("x@one.test"))
	require.NoError(t, err)
	require.ErrorIs(t, receipts[0].Err, storage.ErrOverQuota)
	require.NoError(t, receipts[1].Err)
	require.Len(t, inbox(t, s, "alice"), 2)
	entries := 0
	require.NoError(t, q.List(testContext, func(queue.Entry) bool { entries++; return true }))
	require.Equal(t, 3, entries, "each is queued once")
	require.NoError(t, s.Check(testContext, func(d storagelocal.Damage) { t.Error(d) }, q.References))
}
