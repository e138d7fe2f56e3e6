package queuetest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

var settleTests = map[string]func(*testing.T, *bench){
	"DoneIsGone": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		b.settle(b.one(), done)
		b.clock.Advance(24 * time.Hour)
		require.Empty(t, b.claim(1))
		require.Empty(t, b.list())
	},
	"RetryComesAtItsTime": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		for range 3 {
			b.settle(b.one(), b.later(5*time.Minute))
			b.clock.Advance(5*time.Minute - time.Second)
			require.Empty(t, b.claim(1))
			b.clock.Advance(time.Second)
		}
		b.one()
	},
	"ZeroRetryIsAtOnce": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		b.settle(b.one(), queue.Outcome{})
		require.Equal(t, 1, b.one().States[0].Attempts)
	},
	"StateRemembersAttempts": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		o := b.later(time.Minute)
		o.Reply = mail.Errorf(450, [3]int{4, 2, 0}, "Mailbox busy").Because(errors.New("mx.one.test said so"))
		o.Delayed = true
		b.settle(b.one(), o)
		b.clock.Advance(time.Minute)
		c := b.one()
		s := c.States[0]
		require.Equal(t, 1, s.Attempts)
		require.True(t, s.Delayed)
		require.NotNil(t, s.Last)
		require.Equal(t, o.Reply.Error(), s.Last.Error())
		require.Equal(t, 450, s.Last.Code)

		b.settle(c, queue.Outcome{Retry: b.clock.Now()})
		s = b.one().States[0]
		require.Equal(t, 2, s.Attempts)
		require.True(t, s.Delayed, "a delay notice stays sent")
		require.Nil(t, s.Last)
	},
	"EachRecipientHasItsOutcome": func(t *testing.T, b *bench) {
		b.put("a@one.test", "b@one.test", "c@one.test")
		require.NoError(t, b.q.Settle(b.ctx, b.one(), []queue.Outcome{b.later(2 * time.Minute), done, b.later(time.Minute)}))
		b.clock.Advance(time.Minute)
		c := b.one()
		require.Equal(t, []string{"c@one.test"}, recipients(c))
		b.settle(c, done)
		b.clock.Advance(time.Minute)
		c = b.one()
		require.Equal(t, []string{"a@one.test"}, recipients(c))
		require.NotEmpty(t, b.content(c.Body))
		b.settle(c, done)
		require.Empty(t, b.list())
	},
	"RecipientsRetriedTogetherStayTogether": func(t *testing.T, b *bench) {
		b.put("a@one.test", "b@one.test", "c@one.test")
		later := b.later(time.Minute)
		require.NoError(t, b.q.Settle(b.ctx, b.one(), []queue.Outcome{later, done, later}))
		b.clock.Advance(time.Minute)
		require.Equal(t, []string{"a@one.test", "c@one.test"}, recipients(b.one()))
	},
	"ContentStaysUntilTheLastRecipient": func(t *testing.T, b *bench) {
		lister := power[queue.Lister](b)
		id := b.put("a@one.test", "b@two.test", "c@three.test")
		claims := b.claim(3)
		for i, c := range claims {
			o, err := lister.Content(b.ctx, id)
			require.NoError(t, err)
			require.Contains(t, b.content(o), "Hello.")
			require.NoError(t, o.Close())
			b.settle(c, done)
			for _, other := range claims[i+1:] {
				require.Contains(t, b.content(other.Body), "Hello.")
			}
		}
		_, err := lister.Content(b.ctx, id)
		require.ErrorIs(t, err, queue.ErrNotQueued)
	},
	"TwiceIsALostLease": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		c := b.one()
		b.settle(c, b.later(time.Minute))
		require.ErrorIs(t, b.q.Settle(b.ctx, c, same(c, done)), queue.ErrLeaseLost)
		b.clock.Advance(time.Minute)
		b.one()
	},
	"UnknownLeaseIsLost": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		c := b.one()
		c.Lease += 1000
		require.ErrorIs(t, b.q.Settle(b.ctx, c, same(c, done)), queue.ErrLeaseLost)
	},
	"WrongNumberOfOutcomesChangesNothing": func(t *testing.T, b *bench) {
		b.put("a@one.test", "b@one.test")
		c := b.one()
		require.Error(t, b.q.Settle(b.ctx, c, []queue.Outcome{done}))
		require.Error(t, b.q.Settle(b.ctx, c, nil))
		require.Error(t, b.q.Settle(b.ctx, c, []queue.Outcome{done, done, done}))
		b.settle(c, done)
	},
}
