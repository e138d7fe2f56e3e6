package queuetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

var leaseTests = map[string]func(*testing.T, *bench){
	"EndsAndTheRecipientsComeBack": func(t *testing.T, b *bench) {
		id := b.put("a@one.test", "b@one.test")
		b.one()
		b.clock.Advance(lease - time.Second)
		require.Empty(t, b.claim(1))
		b.clock.Advance(time.Second)
		c := b.one()
		require.Equal(t, id, c.ID)
		require.Equal(t, []string{"a@one.test", "b@one.test"}, recipients(c))
		require.Zero(t, c.States[0].Attempts, "nothing is known of an attempt that was never settled")
		b.settle(c, done)
	},
	"IsLostToTheNextClaim": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		old := b.one()
		b.clock.Advance(lease)
		c := b.one()
		require.ErrorIs(t, b.q.Settle(b.ctx, old, same(old, done)), queue.ErrLeaseLost)
		require.NotEmpty(t, b.content(c.Body), "the other claim's content is untouched")
		b.settle(c, done)
		require.ErrorIs(t, b.q.Settle(b.ctx, old, same(old, done)), queue.ErrLeaseLost)
	},
	"EndsForSomeAndNotForOthers": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		first := b.one()
		b.clock.Advance(lease / 2)
		b.put("b@one.test")
		second := b.one()
		b.clock.Advance(lease / 2)
		again := b.one()
		require.Equal(t, first.ID, again.ID)
		b.settle(second, done)
		b.settle(again, done)
	},
	"ComesBackInItsOrder": func(t *testing.T, b *bench) {
		var ids []queue.ID
		for range 5 {
			ids = append(ids, b.put("a@one.test"))
		}
		b.claim(3)
		b.clock.Advance(lease)
		var got []queue.ID
		for range 5 {
			got = append(got, b.first(1).ID)
		}
		require.Equal(t, ids, got)
	},
	"ReleaseGivesBackAtOnce": func(t *testing.T, b *bench) {
		r := power[queue.Releaser](b)
		b.put("a@one.test", "b@one.test")
		c := b.one()
		require.NoError(t, r.Release(b.ctx, c))
		require.ErrorIs(t, r.Release(b.ctx, c), queue.ErrLeaseLost)
		require.ErrorIs(t, b.q.Settle(b.ctx, c, same(c, done)), queue.ErrLeaseLost)
		again := b.one()
		require.Len(t, again.States, 2)
		require.Zero(t, again.States[0].Attempts)
	},
}
