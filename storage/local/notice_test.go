package local

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// TestANoticeIsGivenAsTheRecordSays follows one account's record over time.
func TestANoticeIsGivenAsTheRecordSays(t *testing.T) {
	const hour, every = time.Hour, 24 * time.Hour
	start := time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	var rec accountRecord
	for i, step := range []struct {
		at            time.Duration
		threshold     uint32
		tell, changed bool
	}{
		{0, 0, false, false},
		{0, 80, true, true},
		{hour, 80, false, false}, // it has been told
		{2 * hour, 95, true, true},
		{3 * hour, 80, false, true},  // below 95: that is armed again
		{4 * hour, 95, false, false}, // but a day has not passed
		{5 * hour, 0, false, true},
		{6 * hour, 80, false, false},
		{7 * hour, 100, true, true}, // higher than any notice
		{8 * hour, 0, false, true},
		{30 * hour, 80, false, false},
		{31 * hour, 80, true, true},    // a day after the last
		{100 * hour, 80, false, false}, // silent as long as it stays
		{100 * hour, 95, true, true},
	} {
		tell, changed := rec.reach(step.threshold, every, start.Add(step.at))
		require.Equal(t, []bool{step.tell, step.changed}, []bool{tell, changed}, "step %d", i)
		require.LessOrEqual(t, rec.silent, rec.threshold)
	}
}

// noticing opens a store that sends its notices to a channel.
func noticing(t *testing.T, fs vfs.FS, settings storage.Settings) (*Store, chan storage.Notice) {
	given := make(chan storage.Notice, 100)
	o := quiet(fs)
	o.Settings = func(string) storage.Settings { return settings }
	o.Notice = func(n storage.Notice) { given <- n }
	return open(t, "store", o), given
}

// looked returns the notices given for what has happened: accounts are looked
// at in order, so they are those before that of an account of its own.
func looked(t *testing.T, s *Store, given chan storage.Notice) (list []storage.Notice) {
	t.Helper()
	last := rand.Text()
	deliver(t, s, "x", last)
	setQuota(t, s, last, storage.Quota{Messages: 1})
	for n := range given {
		if n.User == last {
			return list
		}
		list = append(list, n)
	}
	return nil
}

func TestNoticesOfThresholds(t *testing.T) {
	fs := vfs.NewMem()
	settings := storage.Settings{Quota: storage.Quota{Bytes: 1000}, Thresholds: []int{50, 90}, NoticeEvery: 0}
	s, given := noticing(t, fs, settings)
	deliver(t, s, strings.Repeat("x", 499), "alice")
	require.Empty(t, looked(t, s, given))
	deliver(t, s, "x", "alice")
	n := looked(t, s, given)
	require.Equal(t, []storage.Notice{{
		User: "alice", Threshold: 50, Limit: settings.Quota, Used: storage.Quota{Bytes: 500, Messages: 2, Mailboxes: 5},
	}}, n)
	deliver(t, s, strings.Repeat("x", 100), "alice")
	require.Empty(t, looked(t, s, given), "once")
	require.NoError(t, s.Close())

	s, given = noticing(t, fs, settings)
	deliver(t, s, strings.Repeat("x", 100), "alice")
	require.Empty(t, looked(t, s, given), "and not again after a restart")
	deliver(t, s, strings.Repeat("x", 250), "alice")
	n = looked(t, s, given)
	require.Len(t, n, 1)
	require.Equal(t, 90, n[0].Threshold)
	require.EqualValues(t, 950, n[0].Used.Bytes)
	m := inbox(t, s, "alice")
	_, err := m.Expunge(t.Context(), imap.UIDSetNum(1))
	require.NoError(t, err)
	require.Empty(t, looked(t, s, given))
	deliver(t, s, strings.Repeat("x", 499), "alice")
	n = looked(t, s, given)
	require.Len(t, n, 1, "it has been below, and is there again")
	require.Equal(t, 90, n[0].Threshold)
	sound(t, s)
}

func TestNoticesOfMailboxesAndOfNewBounds(t *testing.T) {
	s, given := noticing(t, vfs.NewMem(), storage.Settings{Thresholds: []int{50}, NoticeEvery: time.Hour})
	deliver(t, s, "x", "alice", "bob")
	setQuota(t, s, "alice", storage.Quota{Mailboxes: 12})
	require.Empty(t, looked(t, s, given))
	require.NoError(t, inbox(t, s, "alice").Create(t.Context(), "x", storage.NewMailbox{}))
	n := looked(t, s, given)
	require.Len(t, n, 1)
	require.EqualValues(t, 6, n[0].Used.Mailboxes)
	setQuota(t, s, "bob", storage.Quota{Messages: 2})
	n = looked(t, s, given)
	require.Len(t, n, 1)
	require.Equal(t, "bob", n[0].User)
}

// TestANoticeMayUseTheStore delivers from within, and closes the store while
// that goes on.
func TestANoticeMayUseTheStore(t *testing.T) {
	o := quiet(vfs.NewMem())
	o.Settings = func(string) storage.Settings {
		return storage.Settings{Quota: storage.Quota{Messages: 4}, Thresholds: []int{50, 75, 100}}
	}
	var s *Store
	told := make(chan int, 10)
	o.Notice = func(n storage.Notice) {
		_, err := s.Deliver(t.Context(), &storage.Delivery{Targets: []storage.Target{{User: n.User, Over: true}}})
		require.NoError(t, err)
		told <- n.Threshold
	}
	s = open(t, "store", o)
	deliver(t, s, "x", "alice", "alice")
	require.Equal(t, 50, <-told)
	require.Equal(t, 75, <-told, "which the notice itself has reached")
	require.Equal(t, 100, <-told)
	_, used := quotaOf(t, s, "alice")
	require.EqualValues(t, 5, used.Messages)
	require.ErrorIs(t, tryDeliver(t, s, "x", "alice")[0], storage.ErrOverQuota)
	sound(t, s)
}
