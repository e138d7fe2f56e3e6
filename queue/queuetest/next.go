package queuetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

// patience is how long a test waits for what must come: ten seconds, less when
// the tests have not much time.
func patience(t *testing.T) time.Duration {
	if end, ok := t.Deadline(); ok {
		return min(10*time.Second, time.Until(end)/10)
	}
	return 10 * time.Second
}

// fired requires that a channel of Next is closed, soon.
func fired(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(patience(t)):
		require.Fail(t, "the channel of Next did not close")
	}
}

func (b *bench) due(want time.Time) <-chan struct{} {
	b.t.Helper()
	due, changed := b.q.Next()
	require.True(b.t, due.Equal(want), "due %v, not %v", due, want)
	return changed
}

var nextTests = map[string]func(*testing.T, *bench){
	"NothingToWaitFor": func(t *testing.T, b *bench) {
		due, changed := b.q.Next()
		require.True(t, due.IsZero())
		require.NotNil(t, changed)
	},
	"PutTells": func(t *testing.T, b *bench) {
		_, changed := b.q.Next()
		b.put("a@one.test")
		fired(t, changed)
		due, _ := b.q.Next()
		require.False(t, due.IsZero())
		require.False(t, due.After(b.clock.Now()))
	},
	"EarliestOfAll": func(t *testing.T, b *bench) {
		for _, d := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
			m := to("a@one.test", "b@two.test")
			m.NotBefore = b.clock.Now().Add(d)
			b.putMessage(m)
		}
		b.due(b.clock.Now().Add(time.Hour))
	},
	"AnEarlierPutTells": func(t *testing.T, b *bench) {
		m := to("a@one.test")
		m.NotBefore = b.clock.Now().Add(time.Hour)
		b.putMessage(m)
		changed := b.due(m.NotBefore)
		m.NotBefore = b.clock.Now().Add(time.Minute)
		b.putMessage(m)
		fired(t, changed)
		b.due(m.NotBefore)
	},
	"RetryTells": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		c := b.one()
		_, changed := b.q.Next()
		b.settle(c, b.later(time.Minute))
		fired(t, changed)
		b.due(b.clock.Now().Add(time.Minute))
	},
	"EndOfALease": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		c := b.one()
		b.due(c.Until)
		b.settle(c, done)
		due, _ := b.q.Next()
		require.True(t, due.IsZero())
	},
	"ReleaseTells": func(t *testing.T, b *bench) {
		r := power[queue.Releaser](b)
		b.put("a@one.test")
		c := b.one()
		_, changed := b.q.Next()
		require.NoError(t, r.Release(b.ctx, c))
		fired(t, changed)
		b.one()
	},
	"LimitedDestinationDoesNotCount": func(t *testing.T, b *bench) {
		power[queue.Limiter](b).Limit(1)
		b.put("a@one.test")
		b.put("b@one.test")
		c := b.first(10)
		changed := b.due(c.Until)
		b.settle(c, done)
		fired(t, changed)
		due, _ := b.q.Next()
		require.False(t, due.IsZero())
		require.False(t, due.After(b.clock.Now()))
		b.one()
	},
	"WakeAndRetryTell": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		for _, hasten := range []func() (int, error){
			func() (int, error) { return a.Wake(b.ctx, "one.test") },
			func() (int, error) { return a.Retry(b.ctx, nil) },
		} {
			m := to("a@one.test")
			m.NotBefore = b.clock.Now().Add(time.Hour)
			b.putMessage(m)
			changed := b.due(m.NotBefore)
			n, err := hasten()
			require.NoError(t, err)
			require.Equal(t, 1, n)
			fired(t, changed)
			b.settle(b.one(), done)
		}
	},
}
