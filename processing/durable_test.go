package processing

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// TestQueueOnDiskOutlivesTheProcess claims a message and ends without settling
// it; what opens the directory next sends it, and local mail is there.
func TestQueueOnDiskOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	open := func() (*world, func()) {
		s, err := storagelocal.Open(dir, storagelocal.Options{})
		require.NoError(t, err)
		q, err := queuelocal.New(s, queuelocal.Options{})
		require.NoError(t, err)
		w := newWorld(t, func(o *Options) { o.Store, o.Queue = s, q })
		return w, func() {
			require.NoError(t, q.Close())
			require.NoError(t, s.Close())
		}
	}
	w, end := open()
	_, shared := queue.As[Submitter](w.o.Queue)
	require.True(t, shared, "one record for both sides")
	require.Equal(t, 250, w.handle(t, mailTo(t, "alice@here.test", "bob@here.test", "x@far.test")).Code)
	claims, err := w.o.Queue.Claim(context.Background(), 10, time.Hour)
	require.NoError(t, err)
	require.Len(t, claims, 1)
	end()

	w, end = open()
	defer end()
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.post.parcels()) == 1 }, 10*time.Second, time.Millisecond)
	})
	require.Equal(t, trace+text, w.post.parcels()[0].text)
	require.Equal(t, "x@far.test", w.post.parcels()[0].to)
	claims, err = w.o.Queue.Claim(context.Background(), 10, time.Hour)
	require.NoError(t, err)
	require.Empty(t, claims)
	a, err := w.o.Store.Account(context.Background(), "bob@here.test")
	require.NoError(t, err)
	box, err := a.Mailbox(context.Background(), "INBOX")
	require.NoError(t, err)
	status, err := box.Status(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 1, status.Messages)
}

// TestRetryStateOnDisk proves that a wait survives too: what failed once is
// not due again at once after a restart.
func TestRetryStateOnDisk(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		s, err := storagelocal.Open(dir, storagelocal.Options{})
		require.NoError(t, err)
		q, err := queuelocal.New(s, queuelocal.Options{})
		require.NoError(t, err)
		w := newWorld(t, func(o *Options) { o.Store, o.Queue = s, q })
		w.post.answer = func(string, int) sender.Result { return says(451, 4, 4, 1) }
		if round == 0 {
			w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		}
		w.run(func() {
			if round == 0 {
				require.Eventually(t, func() bool {
					due, _ := q.Next()
					return time.Until(due) > time.Minute && w.post.times("x@far.test") == 1
				}, 10*time.Second, time.Millisecond)
			}
		})
		due, _ := q.Next()
		require.InDelta(t, 5*time.Minute, time.Until(due), float64(time.Minute))
		require.Equal(t, 1-round, w.post.times("x@far.test"))
		require.NoError(t, q.Close())
		require.NoError(t, s.Close())
	}
}
