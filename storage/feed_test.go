package storage

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// watched is an account of which only the changes are of interest, and a store.
type watched struct {
	Account
	notify  func(Change)
	all     func(string, Change)
	stopped int
}

func (w *watched) Watch(notify func(Change)) (stop func()) {
	w.notify = notify
	return func() { w.stopped++ }
}

func (w *watched) WatchAll(notify func(string, Change)) (stop func()) {
	w.all = notify
	return func() { w.stopped++ }
}

// feedOf returns a feed and what its account tells it.
func feedOf(t *testing.T, bound int) (*Feed, func(mailbox MailboxID, modSeq uint64)) {
	w := new(watched)
	f := NewFeed(w, bound)
	t.Cleanup(f.Close)
	return f, func(mailbox MailboxID, modSeq uint64) { w.notify(Change{mailbox, modSeq}) }
}

func next(t *testing.T, f *Feed) Change {
	t.Helper()
	c, err := f.Next(t.Context())
	require.NoError(t, err)
	return c
}

// nothing requires that nothing waits in a feed.
func nothing(t *testing.T, f *Feed) {
	t.Helper()
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	require.Zero(t, f.b.waiting.Len())
	require.Empty(t, f.b.places)
	require.False(t, f.b.lost)
}

func TestFeedReturnsChangesInOrder(t *testing.T) {
	f, tell := feedOf(t, 0)
	want := []Change{{1, 5}, {0, 0}, {2, 9}, {1, 6}, {2, 0}, {0, 0}}
	for _, c := range want {
		tell(c.Mailbox, c.ModSeq)
	}
	for _, c := range want {
		require.Equal(t, c, next(t, f))
	}
	nothing(t, f)
}

func TestFeedKeepsTheEarliestAndTheLatestOfAMailbox(t *testing.T) {
	f, tell := feedOf(t, 0)
	tell(1, 2)
	tell(2, 2)
	tell(1, 3)
	tell(2, 3)
	tell(1, 4)
	require.Equal(t, Change{1, 2}, next(t, f))
	tell(1, 5) // what was the latest is the earliest now, and stays where it is
	for _, want := range []Change{{2, 2}, {2, 3}, {1, 4}, {1, 5}} {
		require.Equal(t, want, next(t, f))
	}
	nothing(t, f)
}

func TestABusyMailboxDoesNotKeepAnotherFromBeingTold(t *testing.T) {
	f, tell := feedOf(t, 0)
	told := make(map[MailboxID]int)
	for seq := range uint64(1000) {
		tell(1, seq)
		tell(2, seq)
		tell(3, seq)
		told[next(t, f).Mailbox]++
	}
	for mailbox := range MailboxID(3) {
		require.Greater(t, told[mailbox+1], 300)
	}
}

func TestASlowSubscriberCostsBoundedMemoryAndIsToldOnce(t *testing.T) {
	f, tell := feedOf(t, 10)
	for seq := range uint64(100_000) {
		tell(MailboxID(seq%100), seq)
		require.LessOrEqual(t, f.b.waiting.Len(), 10)
		require.LessOrEqual(t, len(f.b.places), 10)
	}
	_, err := f.Next(t.Context())
	require.ErrorIs(t, err, ErrResync)
	nothing(t, f)
	tell(7, 100_001)
	require.Equal(t, Change{7, 100_001}, next(t, f))
	nothing(t, f)
}

func TestFewMailboxesNeverOverflow(t *testing.T) {
	f, tell := feedOf(t, 10)
	for seq := range uint64(1000) {
		tell(MailboxID(seq%5), seq)
	}
	for i := range uint64(5) {
		require.Equal(t, Change{MailboxID(i), i}, next(t, f))
	}
	for i := range uint64(5) {
		require.Equal(t, Change{MailboxID(i), 995 + i}, next(t, f))
	}
	nothing(t, f)
}

// TestFeedIsPartOfWhatWasTold compares a feed with all that was told: it gives
// a part of it in the same order, and the last of every mailbox.
func TestFeedIsPartOfWhatWasTold(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f, tell := feedOf(t, 40)
	last := make(map[MailboxID]uint64)
	got, at := make(map[MailboxID]uint64), uint64(0)
	read := func() {
		c := next(t, f)
		require.Greater(t, c.ModSeq, at, "in order")
		at = c.ModSeq
		got[c.Mailbox] = c.ModSeq
	}
	for seq := uint64(1); seq < 5000; seq++ {
		mailbox := MailboxID(r.IntN(20))
		tell(mailbox, seq)
		last[mailbox] = seq
		if r.IntN(3) == 0 {
			read()
		}
	}
	for f.b.waiting.Len() > 0 {
		read()
	}
	require.Equal(t, last, got)
	nothing(t, f)
}

func TestNextEndsWithItsContextAndWithClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := new(watched)
	f := NewFeed(w, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	wait := func(ctx context.Context) {
		go func() {
			_, err := f.Next(ctx)
			ended <- err
		}()
	}
	wait(ctx)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	wait(t.Context())
	w.notify(Change{1, 1})
	require.NoError(t, <-ended)
	wait(t.Context())
	f.Close()
	require.ErrorIs(t, <-ended, ErrClosed)
	f.Close()
	require.Equal(t, 1, w.stopped)
	_, err := f.Next(t.Context())
	require.ErrorIs(t, err, ErrClosed)
}

func TestManyWaitForOneFeed(t *testing.T) {
	f, tell := feedOf(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			if _, err := f.Next(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range MailboxID(8) {
		tell(i, 1)
	}
	g.Wait()
	nothing(t, f)
}

func TestStoreFeedKeepsUsersApart(t *testing.T) {
	w := new(watched)
	f := NewStoreFeed(w, 0)
	defer f.Close()
	want := []UserChange{{"a", Change{1, 2}}, {"b", Change{1, 2}}, {"a", Change{}}, {"b", Change{}}, {"a", Change{1, 3}}}
	for _, c := range want {
		w.all(c.User, c.Change)
	}
	for _, c := range want {
		got, err := f.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
}
