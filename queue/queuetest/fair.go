package queuetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

// crowd is how many messages wait for a destination that does not move.
const crowd = 10_000

var fairTests = map[string]func(*testing.T, *bench){
	"DestinationsTakeTurnsInOneClaim": func(t *testing.T, b *bench) {
		for i := range 3 {
			for range 5 {
				b.put(fmt.Sprintf("a@d%d.test", i))
			}
		}
		require.Equal(t, map[string]int{"d0.test": 2, "d1.test": 2, "d2.test": 2}, domains(b.claim(6)))
	},
	"DestinationsTakeTurnsOverClaims": func(t *testing.T, b *bench) {
		for i := range 3 {
			for range 5 {
				b.put(fmt.Sprintf("a@d%d.test", i))
			}
		}
		for range 4 {
			var round []queue.Claim
			for range 3 {
				round = append(round, b.claim(1)...)
			}
			require.Equal(t, map[string]int{"d0.test": 1, "d1.test": 1, "d2.test": 1}, domains(round))
		}
	},
	"ACrowdedDestinationDelaysNoOther": func(t *testing.T, b *bench) {
		b.many(crowd, "crowd.test")
		b.clock.Advance(time.Minute)
		b.put("a@quiet.test")
		claims := b.claim(2)
		require.Equal(t, map[string]int{"crowd.test": 1, "quiet.test": 1}, domains(claims))
	},
	"ADestinationAtItsLimitDelaysNoOther": func(t *testing.T, b *bench) {
		power[queue.Limiter](b).Limit(2)
		b.many(crowd, "crowd.test")
		held := b.claim(100)
		require.Equal(t, map[string]int{"crowd.test": 2}, domains(held))
		require.Empty(t, b.claim(100))
		for i := range 100 {
			d := fmt.Sprintf("quiet%d.test", i)
			b.put("a@" + d)
			require.Equal(t, map[string]int{d: 1}, domains(b.claim(100)))
		}
		b.settle(held[0], done)
		require.Equal(t, map[string]int{"crowd.test": 1}, domains(b.claim(100)))
	},
	"ALimitCanBeLifted": func(t *testing.T, b *bench) {
		l := power[queue.Limiter](b)
		l.Limit(1)
		b.many(5, "one.test")
		require.Len(t, b.claim(10), 1)
		l.Limit(3)
		require.Len(t, b.claim(10), 2)
		l.Limit(0)
		require.Len(t, b.claim(10), 2)
	},
	"ACrowdIsServedWhole": func(t *testing.T, b *bench) {
		waiting := make(map[queue.ID]bool)
		for _, id := range b.many(1000, "crowd.test") {
			waiting[id] = true
		}
		for len(waiting) > 0 {
			claims := b.claim(64)
			require.NotEmpty(t, claims)
			for _, c := range claims {
				require.True(t, waiting[c.ID])
				delete(waiting, c.ID)
				b.settle(c, done)
			}
		}
		require.Empty(t, b.claim(1))
	},
}
