package local

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

func TestFrozenAccountIsFrozenAfterARestart(t *testing.T) {
	o := quiet(nil)
	dir := t.TempDir() + "/store"
	s, err := Open(dir, o)
	require.NoError(t, err)
	deliver(t, s, "x", "alice", "bob")
	require.NoError(t, s.Freeze(context.Background(), "alice"))
	require.NoError(t, s.Close())
	s = open(t, dir, o)
	_, err = s.Account(context.Background(), "alice")
	require.ErrorIs(t, err, storage.ErrFrozen)
	deliver(t, s, "x", "bob")
	require.NoError(t, s.Thaw(context.Background(), "alice"))
	deliver(t, s, "x", "alice")
	sound(t, s)
}

// TestNothingIsWrittenBehindAFreeze delivers from many sides while the account
// is frozen: what there is when Freeze returns stays all there is.
func TestNothingIsWrittenBehindAFreeze(t *testing.T) {
	s := inMemory(t, nil)
	m := inbox(t, s, "alice")
	var acknowledged atomic.Int64
	var all sync.WaitGroup
	begun := make(chan struct{}, 8)
	for range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				r, err := s.Deliver(context.Background(), &storage.Delivery{Body: message.FromBytes([]byte("x")), Targets: []storage.Target{{User: "alice"}}})
				require.NoError(t, err)
				if r[0].Err != nil {
					require.ErrorIs(t, r[0].Err, storage.ErrFrozen)
					return
				}
				acknowledged.Add(1)
				if i == 20 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	require.NoError(t, s.Freeze(context.Background(), "alice"))
	then, err := m.Status(context.Background())
	require.NoError(t, err)
	all.Wait()
	now, err := m.Status(context.Background())
	require.NoError(t, err)
	require.Equal(t, then, now)
	require.EqualValues(t, acknowledged.Load(), now.Messages)
}
