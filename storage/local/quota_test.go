package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// bound returns settings with a quota for every domain.
func bound(q storage.Quota) func(string) storage.Settings {
	return func(string) storage.Settings { return storage.Settings{Quota: q} }
}

// ample is a bound that nothing reaches, so that all accounts are counted.
var ample = storage.Quota{Bytes: 1 << 50, Messages: 1 << 40, Mailboxes: 1 << 30}

func quotaOf(t testing.TB, s *Store, user string) (limit, used storage.Quota) {
	t.Helper()
	a, err := s.Account(context.Background(), user)
	require.NoError(t, err)
	limit, used, err = a.(storage.Quotas).Quota(context.Background())
	require.NoError(t, err)
	return limit, used
}

func setQuota(t testing.TB, s *Store, user string, q storage.Quota) {
	t.Helper()
	a, err := s.Account(context.Background(), user)
	require.NoError(t, err)
	require.NoError(t, a.(storage.Quotas).SetQuota(context.Background(), &q))
}

// tryDeliver delivers to users and returns the receipts' errors.
func tryDeliver(t testing.TB, s *Store, text string, users ...string) (errs []error) {
	t.Helper()
	d := &storage.Delivery{Body: message.FromBytes([]byte(text))}
	for _, u := range users {
		d.Targets = append(d.Targets, storage.Target{User: u})
	}
	receipts, err := s.Deliver(context.Background(), d)
	require.NoError(t, err)
	for _, r := range receipts {
		errs = append(errs, r.Err)
	}
	return errs
}

func TestBoundsAndUsageAreThereAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	deliver(t, s, "12345", "alice")
	setQuota(t, s, "alice", storage.Quota{Bytes: 10, Messages: -5})
	require.NoError(t, inbox(t, s, "alice").SetMailboxQuota(t.Context(), "Sent", &storage.Quota{Messages: 1}))
	require.NoError(t, s.Close())
	s = open(t, "store", quiet(fs))
	require.ErrorIs(t, tryDeliver(t, s, "123456", "alice")[0], storage.ErrOverQuota)
	require.NoError(t, tryDeliver(t, s, "12345", "alice")[0])
	limit, used := quotaOf(t, s, "alice")
	require.Equal(t, storage.Quota{Bytes: 10}, limit)
	require.Equal(t, storage.Quota{Bytes: 10, Messages: 2, Mailboxes: 5}, used)
	limit, _, err := inbox(t, s, "alice").MailboxQuota(t.Context(), "Sent")
	require.NoError(t, err)
	require.Equal(t, storage.Quota{Messages: 1}, limit)
	sound(t, s)
}

// TestCountingAnAccountKeepsNobodyElseWaiting stops in the middle of adding up
// what an account holds.
func TestCountingAnAccountKeepsNobodyElseWaiting(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs)
	o.Settings = bound(storage.Quota{Messages: 5})
	s := open(t, "store", o)
	deliver(t, s, "one", "alice", "bob")
	deliver(t, s, "two", "alice", "bob")
	require.NoError(t, s.Close())
	s = open(t, "store", o)

	st, err := s.Prepare(t.Context(), &storage.Delivery{Body: message.FromBytes([]byte("three")), Targets: []storage.Target{{User: "alice"}}})
	require.NoError(t, err)
	u, ok := errors.AsType[*uncounted](s.e.Commit(t.Context(), st.Change(nil)))
	require.True(t, ok)
	require.Len(t, u.load, 1)

	deliver(t, s, "three", "bob")
	m := inbox(t, s, "alice")
	_, err = m.Expunge(t.Context(), imap.UIDSetNum(1))
	require.NoError(t, err, "what needs no room does not wait either")
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() { tryDeliver(t, s, "four", "alice") })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.count(ctx, &uncounted{wait: u.load}), "who waits can give up")

	require.NoError(t, s.count(t.Context(), u))
	waiting.Wait()
	s.held.unpin(u.load)
	_, used := quotaOf(t, s, "alice")
	require.EqualValues(t, 5, used.Messages)
	require.ErrorIs(t, tryDeliver(t, s, "x", "alice")[0], storage.ErrOverQuota)
	sound(t, s)
}

// TestWhoeverLoadsMayGiveUp lets the next one add up what the account holds.
func TestWhoeverLoadsMayGiveUp(t *testing.T) {
	s := inMemory(t, func(o *Options) { o.Settings = bound(ample) })
	deliver(t, s, "x", "alice")
	s.held.drop(s.held.entries[inbox(t, s, "alice").account.id])
	st, err := s.Prepare(t.Context(), &storage.Delivery{Targets: []storage.Target{{User: "alice"}}})
	require.NoError(t, err)
	u, ok := errors.AsType[*uncounted](s.e.Commit(t.Context(), st.Change(nil)))
	require.True(t, ok)
	s.held.fill(u.load[0], storage.Quota{}, context.Canceled)
	require.NoError(t, u.snap.Close())
	require.NoError(t, s.count(t.Context(), &uncounted{wait: u.load}), "nobody waits for it any more")
	deliver(t, s, "x", "alice")
	_, used := quotaOf(t, s, "alice")
	require.EqualValues(t, 2, used.Messages)
}

func TestADeliveryToManyCountsAllOfThemAtOnce(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs)
	o.Settings = bound(ample)
	s := open(t, "store", o)
	users := make([]string, 300)
	for i := range users {
		users[i] = fmt.Sprintf("user%d", i)
	}
	deliver(t, s, "x", users...)
	require.NoError(t, s.Close())
	s = open(t, "store", o)
	before := s.e.Stats()
	deliver(t, s, "y", users...)
	after := s.e.Stats()
	require.EqualValues(t, 1, after.Refused-before.Refused)
	require.EqualValues(t, 1, after.Syncs-before.Syncs)
	sound(t, s)
}

// TestRefusedChangesTakeNoRoom refuses changes after they were built, alone
// and as part of a group that can't be written.
func TestRefusedChangesTakeNoRoom(t *testing.T) {
	s := inMemory(t, func(o *Options) { o.Settings = bound(storage.Quota{Messages: 3}) })
	deliver(t, s, "x", "alice")
	id := inbox(t, s, "alice").account.id
	refused := errors.New("refused")
	for range 5 {
		st, err := s.Prepare(t.Context(), &storage.Delivery{Targets: []storage.Target{{User: "alice"}, {User: "alice"}}})
		require.NoError(t, err)
		require.ErrorIs(t, s.e.Commit(t.Context(), st.Change(func(*engine.Tx) error { return refused })), refused)
		require.Zero(t, s.held.entries[id].built)
	}
	require.NoError(t, errors.Join(tryDeliver(t, s, "x", "alice", "alice")...))
	require.ErrorIs(t, tryDeliver(t, s, "x", "alice")[0], storage.ErrOverQuota)
	require.Zero(t, s.held.entries[id].built)
}

func TestCountsStayRightWhenTheyAreForgottenAtAnyMoment(t *testing.T) {
	s := inMemory(t, func(o *Options) { o.Settings, o.States = bound(storage.Quota{Messages: 30}), 2 })
	var all sync.WaitGroup
	for w := range 6 {
		all.Go(func() {
			for i := range 20 {
				tryDeliver(t, s, "x", fmt.Sprintf("user%d", (w+i)%5), fmt.Sprintf("user%d", (w+2*i)%5))
			}
		})
	}
	all.Wait()
	for i := range 5 {
		_, used := quotaOf(t, s, fmt.Sprintf("user%d", i))
		require.EqualValues(t, 30, used.Messages)
	}
	require.LessOrEqual(t, len(s.held.entries), 2)
}

func TestAccountsWithoutBoundsAreNotCounted(t *testing.T) {
	s := inMemory(t, nil)
	deliver(t, s, "x", "alice", "bob")
	setQuota(t, s, "alice", storage.Quota{Mailboxes: 10})
	deliver(t, s, "x", "alice", "bob")
	require.Empty(t, s.held.entries)
	_, used := quotaOf(t, s, "bob")
	require.EqualValues(t, 2, used.Messages)
}

func TestCheckFindsDamageOfQuotas(t *testing.T) {
	for want, damage := range map[string]func(s *Store, id accountID){
		"and counts 3, 1, 5": func(s *Store, id accountID) { s.held.entries[id].made.Bytes++ },
		"silent up to 90 percent": func(s *Store, id accountID) {
			rec, _, err := getAccount(s.e, "alice")
			require.NoError(t, err)
			rec.silent = 90
			require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error {
				tx.Set(accountKey("alice"), rec.append(nil))
				return nil
			}}))
		},
	} {
		o := quiet(vfs.NewMem())
		o.Settings = bound(ample)
		s := open(t, "store", o)
		deliver(t, s, "xx", "alice")
		require.Empty(t, damages(t, s))
		damage(s, inbox(t, s, "alice").account.id)
		found := damages(t, s)
		require.Len(t, found, 1)
		require.Contains(t, found[0], `account "alice": `)
		require.Contains(t, found[0], want)
		require.NoError(t, s.Repair(t.Context(), nil, Repairs{}))
		require.Empty(t, damages(t, s))
	}
}

// TestAMailboxThatCantBeReadKeepsNoOthersFromGettingMail damages one state.
func TestAMailboxThatCantBeReadKeepsNoOthersFromGettingMail(t *testing.T) {
	o := quiet(vfs.NewMem())
	s := open(t, "store", o)
	deliver(t, s, "x", "alice")
	sent := boxOf(t, s, "alice", "Sent")
	require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { tx.Set(stateKey(sent.id), []byte{9}); return nil }}))
	setQuota(t, s, "alice", storage.Quota{Messages: 2})
	require.NoError(t, tryDeliver(t, s, "x", "alice")[0])
	require.ErrorIs(t, tryDeliver(t, s, "x", "alice")[0], storage.ErrOverQuota)
	require.Contains(t, strings.Join(damages(t, s), "\n"), "damaged record")
}

// TestABoundCostsADeliveryNoOctetAndNoSync compares what two stores write.
func TestABoundCostsADeliveryNoOctetAndNoSync(t *testing.T) {
	written := func(o Options) (octets, syncs uint64) {
		s := open(t, "store", o)
		deliver(t, s, "first", "alice", "bob")
		before := s.e.Stats()
		for range 20 {
			deliver(t, s, "another", "alice", "bob")
		}
		after := s.e.Stats()
		return after.Written - before.Written, after.Syncs - before.Syncs
	}
	octets, syncs := written(quiet(vfs.NewMem()))
	o := quiet(vfs.NewMem())
	o.Settings = func(string) storage.Settings {
		return storage.Settings{Quota: ample, MailboxQuota: ample, Thresholds: []int{80, 90}}
	}
	o.Notice = func(storage.Notice) {}
	withBound, syncsWithBound := written(o)
	require.InDelta(t, octets, withBound, 20, "but for times, which are not always of one length")
	require.Equal(t, syncs, syncsWithBound)
}
