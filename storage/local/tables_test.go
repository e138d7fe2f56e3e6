package local

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

func rowsFrom(first, n uint32, modSeq uint64) (list []listed) {
	for uid := first; uid < first+n; uid++ {
		list = append(list, listed{row: row{uid: uid, modSeq: modSeq}})
	}
	return list
}

func uidsOf(t *table) (list []uint32) {
	for _, c := range t.chunks {
		for _, r := range c.rows {
			list = append(list, r.uid)
		}
	}
	return list
}

// TestChangesDuringALoadAreNotMissed lets changes come while a mailbox is
// being read: one that the snapshot has already and one that it has not.
func TestChangesDuringALoadAreNotMissed(t *testing.T) {
	loading, goOn := make(chan struct{}), make(chan struct{})
	ts := newTables(1000, func(context.Context, storage.MailboxID) (*table, error) {
		close(loading)
		<-goOn
		return (&table{}).with(rowsFrom(1, 2, 2), 2), nil
	})
	var g sync.WaitGroup
	for range 3 { // all wait for one load
		g.Go(func() {
			got, err := ts.get(t.Context(), 7)
			if err != nil || len(uidsOf(got)) < 3 {
				t.Error(err, got)
			}
		})
	}
	<-loading
	ts.changed([]*boxChange{{id: 7, after: state{modSeq: 2}, added: rowsFrom(2, 1, 2)}})
	ts.changed([]*boxChange{{id: 7, after: state{modSeq: 3}, added: rowsFrom(3, 1, 3)}})
	close(goOn)
	g.Wait()
	ts.changed([]*boxChange{{id: 7, after: state{modSeq: 4}, added: rowsFrom(4, 1, 4)}})
	require.Equal(t, []uint32{1, 2, 3, 4}, uidsOf(ts.newest(7)))
}

func TestAFailedLoadIsTriedAgain(t *testing.T) {
	failed := errors.New("failed")
	ts := newTables(1000, func(ctx context.Context, _ storage.MailboxID) (*table, error) {
		if err := ctx.Err(); err != nil {
			return nil, failed
		}
		return &table{}, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ts.get(ctx, 1)
	require.ErrorIs(t, err, failed)
	_, err = ts.get(t.Context(), 1)
	require.NoError(t, err)
}

// TestTablesAreForgottenButForThoseInUse fills the cache with mailboxes.
func TestTablesAreForgottenButForThoseInUse(t *testing.T) {
	ts := newTables(1000, func(_ context.Context, id storage.MailboxID) (*table, error) {
		return (&table{}).with(rowsFrom(1, 100, 1), 1), nil
	})
	_, release, err := ts.pin(t.Context(), 1)
	require.NoError(t, err)
	for id := storage.MailboxID(2); id < 100; id++ {
		_, err := ts.get(t.Context(), id)
		require.NoError(t, err)
		require.LessOrEqual(t, ts.rows, 1000)
	}
	require.NotNil(t, ts.newest(1))
	require.NotNil(t, ts.newest(99))
	require.Nil(t, ts.newest(2))
	release()
	for id := storage.MailboxID(100); id < 200; id++ {
		_, err := ts.get(t.Context(), id)
		require.NoError(t, err)
	}
	require.Nil(t, ts.newest(1))
	require.Equal(t, len(ts.entries), ts.recent.Len())
}

// TestOlderTablesStayAsTheyWere adds to a table, throws the result away as
// when a change is refused, and adds something else.
func TestOlderTablesStayAsTheyWere(t *testing.T) {
	first := (&table{}).with(rowsFrom(1, 10, 1), 1)
	refused := first.with(rowsFrom(11, 100, 2), 2)
	require.Len(t, uidsOf(refused), 110)
	words := rowsFrom(11, 5, 3)
	words[3].words = storage.NewFlags("x").Keywords
	second := first.with(words, 3)
	changed := second.chunks[0].clone()
	changed.set(0, listed{row: row{uid: 1, flags: storage.Seen, modSeq: 4}})
	require.Equal(t, rowsFrom(1, 10, 1), listOf(first))
	require.Equal(t, words, listOf(second)[10:])
	require.Equal(t, rowsFrom(1, 10, 1), listOf(second)[:10])
}

func listOf(t *table) (list []listed) {
	for _, c := range t.chunks {
		for i := range c.rows {
			list = append(list, c.get(i))
		}
	}
	return list
}
