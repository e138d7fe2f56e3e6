package queuetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

var powerTests = map[string]func(*testing.T, *bench){
	"ListShowsEveryRecipientByMessage": func(t *testing.T, b *bench) {
		power[queue.Lister](b)
		m := to("z@one.test", "a@two.test", "b@one.test")
		first := b.putMessage(m)
		second := b.put("c@one.test")
		c := b.first(1)
		entries := b.list()
		require.Len(t, entries, 4)
		var shown []string
		for _, e := range entries {
			shown = append(shown, fmt.Sprintf("%d %s", e.ID, e.To))
			require.Equal(t, e.ID == c.ID && e.Destination == c.Destination, e.Claimed)
			require.Equal(t, mail.DomainKey(e.To.Domain()), e.Destination)
			require.Equal(t, m.Envelope.From, e.From)
			require.EqualValues(t, len("Received: from here\r\nSubject: test\r\n\r\nHello.\r\n"), e.Size)
			require.True(t, b.clock.Now().Equal(e.Received))
			require.Zero(t, e.Attempts)
		}
		require.Equal(t, []string{
			fmt.Sprintf("%d z@one.test", first), fmt.Sprintf("%d a@two.test", first), fmt.Sprintf("%d b@one.test", first),
			fmt.Sprintf("%d c@one.test", second),
		}, shown)
	},
	"ListShowsTheState": func(t *testing.T, b *bench) {
		power[queue.Lister](b)
		b.put("a@one.test")
		o := b.later(time.Minute)
		b.settle(b.one(), o)
		entries := b.list()
		require.Len(t, entries, 1)
		e := entries[0]
		require.Equal(t, 1, e.Attempts)
		require.False(t, e.Claimed)
		require.True(t, o.Retry.Equal(e.Next))
		require.Equal(t, o.Reply.Error(), e.LastReply)
	},
	"ListStopsWhenToldTo": func(t *testing.T, b *bench) {
		l := power[queue.Lister](b)
		b.many(50, "one.test")
		n := 0
		require.NoError(t, l.List(b.ctx, func(queue.Entry) bool { n++; return n < 7 }))
		require.Equal(t, 7, n)
	},
	"ContentOfAMessageThatIsNotQueued": func(t *testing.T, b *bench) {
		_, err := power[queue.Lister](b).Content(b.ctx, 12345)
		require.ErrorIs(t, err, queue.ErrNotQueued)
	},
	"RetryOfSomeMessages": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		ids := []queue.ID{b.put("a@one.test", "b@two.test"), b.put("c@one.test"), b.put("d@one.test")}
		for _, c := range b.claim(10) {
			b.settle(c, b.later(time.Hour))
		}
		n, err := a.Retry(b.ctx, []queue.ID{ids[0], ids[2], 99999})
		require.NoError(t, err)
		require.Equal(t, 3, n)
		claims := b.claim(10)
		require.Len(t, claims, 3)
		for _, c := range claims {
			require.NotEqual(t, ids[1], c.ID)
			require.Equal(t, 1, c.States[0].Attempts)
		}
		n, err = a.Retry(b.ctx, []queue.ID{})
		require.NoError(t, err)
		require.Zero(t, n, "an empty list is not all")
	},
	"RetryOfAllLeavesWhatIsDueOrClaimed": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		b.many(1500, "one.test")
		b.many(3, "two.test")
		for _, c := range b.claim(2000) {
			if c.Destination == "one.test" {
				b.settle(c, b.later(time.Hour))
			}
		}
		b.many(4, "three.test")
		n, err := a.Retry(b.ctx, nil)
		require.NoError(t, err)
		require.Equal(t, 1500, n)
		require.Equal(t, map[string]int{"one.test": 1500, "three.test": 4}, domains(b.claim(3000)))
	},
	"WakeOfOneDestination": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		b.many(1500, "one.test")
		b.many(5, "two.test")
		for _, c := range b.claim(2000) {
			b.settle(c, b.later(time.Hour))
		}
		n, err := a.Wake(b.ctx, "one.test")
		require.NoError(t, err)
		require.Equal(t, 1500, n)
		n, err = a.Wake(b.ctx, "one.test")
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = a.Wake(b.ctx, "nowhere.test")
		require.NoError(t, err)
		require.Zero(t, n)
		claims := b.claim(2000)
		require.Equal(t, map[string]int{"one.test": 1500}, domains(claims))
		for _, c := range claims {
			b.settle(c, done)
		}
		b.put("z@one.test")
		b.one()
		b.clock.Advance(time.Hour)
		require.Equal(t, map[string]int{"one.test": 1, "two.test": 5}, domains(b.claim(10)))
	},
	"RemoveDropsAllButTheClaimed": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		ids := []queue.ID{b.put("a@one.test", "b@two.test"), b.put("c@three.test"), b.put("d@four.test")}
		var held queue.Claim
		for _, c := range b.claim(10) {
			if c.Destination == "one.test" {
				held = c
				continue
			}
			b.settle(c, b.later(time.Minute))
		}
		n, err := a.Remove(b.ctx, []queue.ID{ids[0], ids[1], 99999})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		b.clock.Advance(time.Minute)
		claims := b.claim(10)
		require.Equal(t, map[string]int{"four.test": 1}, domains(claims))
		require.Contains(t, b.content(held.Body), "Hello.")
		b.settle(held, done)
		_, err = power[queue.Lister](b).Content(b.ctx, ids[0])
		require.ErrorIs(t, err, queue.ErrNotQueued)
		b.put("e@five.test")
		n, err = a.Remove(b.ctx, nil)
		require.NoError(t, err)
		require.Zero(t, n, "nil is none")
		require.Len(t, b.list(), 2)
	},
}
