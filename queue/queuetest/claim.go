package queuetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

var claimTests = map[string]func(*testing.T, *bench){
	"EmptyQueueGivesNone": func(t *testing.T, b *bench) { require.Empty(t, b.claim(5)) },
	"ZeroAsksForNone": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		require.Empty(t, b.claim(0))
		b.one()
	},
	"GroupsOneMessageAndOneDestination": func(t *testing.T, b *bench) {
		id := b.put("a@one.test", "x@two.test", "b@one.test", "c@one.test", "y@two.test")
		groups := make(map[string][]string)
		for _, c := range b.claim(10) {
			require.Equal(t, id, c.ID)
			require.NotContains(t, groups, c.Destination)
			groups[c.Destination] = recipients(c)
			require.Len(t, c.States, len(c.Envelope.Recipients))
		}
		require.Equal(t, map[string][]string{
			"one.test": {"a@one.test", "b@one.test", "c@one.test"},
			"two.test": {"x@two.test", "y@two.test"},
		}, groups)
	},
	"MessagesAreNeverMixed": func(t *testing.T, b *bench) {
		first, second := b.put("a@one.test", "b@one.test"), b.put("a@one.test", "b@one.test")
		claims := b.claim(10)
		require.Len(t, claims, 2)
		require.ElementsMatch(t, []queue.ID{first, second}, []queue.ID{claims[0].ID, claims[1].ID})
		for _, c := range claims {
			require.Equal(t, []string{"a@one.test", "b@one.test"}, recipients(c))
		}
	},
	"ClaimedIsNotClaimedAgain": func(t *testing.T, b *bench) {
		b.put("a@one.test", "b@two.test")
		require.Len(t, b.claim(10), 2)
		require.Empty(t, b.claim(10))
	},
	"LeasesHaveDifferentNames": func(t *testing.T, b *bench) {
		b.put("a@one.test", "b@two.test")
		claims := b.claim(10)
		require.Len(t, claims, 2)
		require.NotEqual(t, claims[0].Lease, claims[1].Lease)
		require.True(t, claims[0].Until.Equal(b.clock.Now().Add(lease)), "until %v", claims[0].Until)
	},
	"EarliestDueOfADestinationComesFirst": func(t *testing.T, b *bench) {
		var want []queue.ID
		ids := make(map[int]queue.ID)
		for _, minutes := range []int{30, 10, 50, 20, 40} {
			m := to("a@one.test")
			m.NotBefore = b.clock.Now().Add(time.Duration(minutes) * time.Minute)
			ids[minutes] = b.putMessage(m)
		}
		for _, minutes := range []int{10, 20, 30, 40, 50} {
			want = append(want, ids[minutes])
		}
		b.clock.Advance(time.Hour)
		var got []queue.ID
		for range want {
			got = append(got, b.first(1).ID)
		}
		require.Equal(t, want, got)
	},
	"EqualDueTimesKeepTheOrderOfPut": func(t *testing.T, b *bench) {
		var want, got []queue.ID
		for range 200 {
			want = append(want, b.put("a@one.test"))
		}
		for len(got) < len(want) {
			for _, c := range b.claim(7) {
				got = append(got, c.ID)
				b.settle(c, done)
			}
		}
		require.Equal(t, want, got)
	},
	"AnEarlierOneOvertakes": func(t *testing.T, b *bench) {
		late := b.many(100, "one.test")
		for _, c := range b.claim(100) {
			b.settle(c, b.later(time.Hour))
		}
		soon := b.put("z@one.test")
		require.Equal(t, soon, b.one().ID)
		b.clock.Advance(time.Hour)
		require.Len(t, b.claim(200), len(late)+1, "the lease of the early one has ended as well")
	},
	"ABodyCanBeReadByManyAtOnce": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		c := b.one()
		want := b.content(c.Body)
		got := make(chan string)
		for range 8 {
			go func() {
				p := make([]byte, c.Body.Size())
				_, _ = c.Body.ReadAt(p, 0)
				got <- string(p)
			}()
		}
		for range 8 {
			require.Equal(t, want, <-got)
		}
	},
}
