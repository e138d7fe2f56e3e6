package mapping

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func hashHosts(n int) []HashHost {
	hosts := make([]HashHost, n)
	for i := range hosts {
		hosts[i].Route = Route{Host: fmt.Sprintf("10.0.0.%d", i+1), Port: 1143}
	}
	return hosts
}

func newHash(t testing.TB, hosts []HashHost) *Hash {
	t.Helper()
	h, err := NewHash(hosts, HashOptions{})
	require.NoError(t, err)
	return h
}

// placed returns the hosts of many users.
func placed(t *testing.T, m Mapper) []string {
	t.Helper()
	hosts := make([]string, 100_000)
	for i := range hosts {
		r, err := m.Map(t.Context(), fmt.Sprintf("user%d@example.test", i))
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = r.Host
	}
	return hosts
}

func TestP10AddingAHostMovesItsShareAndRemovingOneMovesItsUsersOnly(t *testing.T) {
	for _, n := range []int{1, 2, 9} {
		before, after := placed(t, newHash(t, hashHosts(n))), placed(t, newHash(t, hashHosts(n+1)))
		added := fmt.Sprintf("10.0.0.%d", n+1)
		moved := 0
		for i := range before {
			if before[i] != after[i] {
				moved++
				require.Equal(t, added, after[i], "who moves, moves to the one that was added; and back when it is removed")
			}
		}
		require.InEpsilon(t, float64(len(before))/float64(n+1), moved, 0.05, "%d hosts", n)
	}
}

func TestP10WeightsAreHonouredWithinTenPercent(t *testing.T) {
	weights := []int{1, 2, 3, 10, 100, 0}
	hosts, total := hashHosts(len(weights)), 0
	for i, w := range weights {
		hosts[i].Weight = w
		total += max(w, 1)
	}
	before := placed(t, newHash(t, hosts))
	count := make(map[string]int)
	for _, host := range before {
		count[host]++
	}
	for i, w := range weights {
		share := float64(len(before)) * float64(max(w, 1)) / float64(total)
		require.InEpsilon(t, share, count[hosts[i].Route.Host], 0.1, "weight %d", w)
	}
	hosts[3].Weight = 20
	for i, host := range placed(t, newHash(t, hosts)) {
		if host != before[i] {
			require.Equal(t, hosts[3].Route.Host, host, "who moves, moves to the host that got heavier")
		}
	}
}

func TestP10TagsKeepGroupsApart(t *testing.T) {
	hosts := hashHosts(6)
	for i := range hosts {
		hosts[i].Tag = []string{"staff", "students"}[i%2]
	}
	h, err := NewHash(hosts, HashOptions{Tag: func(name string) string { return strings.TrimSuffix(domainOf(name), ".test") }})
	require.NoError(t, err)
	of := make(map[string]string)
	for i := range 1000 {
		for _, tag := range []string{"staff", "students"} {
			r, err := h.Map(t.Context(), fmt.Sprintf("user%d@%s.test", i, tag))
			require.NoError(t, err)
			if of[r.Host] == "" {
				of[r.Host] = tag
			}
			require.Equal(t, tag, of[r.Host])
		}
	}
	require.Len(t, of, 6)
	_, err = h.Map(t.Context(), "user@guests.test")
	require.ErrorIs(t, err, ErrUnavailable, "the hosts of others are not for them")
	require.NotErrorIs(t, err, ErrNotMapped)
}

// TestPlacementIsTheSameInEveryRelease has answers that were written down:
// mail lies where they say.
func TestPlacementIsTheSameInEveryRelease(t *testing.T) {
	hosts := []HashHost{
		{Route: Route{Host: "10.0.0.11"}}, {Route: Route{Host: "10.0.0.12"}, Weight: 2}, {Route: Route{Host: "mail.example.test", Port: 1143}, Weight: 3},
		{Route: Route{Host: "2001:db8::7", Port: 143}, Weight: 4}, {Route: Route{Host: "10.0.0.99"}, Name: "moved"},
	}
	golden := map[string]string{
		"alice":                         "10.0.0.99",
		"bob":                           "2001:db8::7",
		"carol":                         "10.0.0.11",
		"alice@example.test":            "2001:db8::7",
		"bob@example.test":              "2001:db8::7",
		"carol@example.test":            "mail.example.test",
		"dave@example.test":             "mail.example.test",
		"erin@example.test":             "10.0.0.99",
		"frank@example.test":            "10.0.0.12",
		"jürgen@xn--mnchen-3ya.example": "2001:db8::7",
		"user1":                         "10.0.0.11",
		"user2":                         "2001:db8::7",
		"user3":                         "10.0.0.99",
		"user4":                         "2001:db8::7",
		"user5":                         "10.0.0.99",
		"user6":                         "10.0.0.12",
	}
	for range 10 {
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		h := newHash(t, hosts)
		for user, want := range golden {
			r, err := h.Map(t.Context(), user)
			require.NoError(t, err)
			require.Equal(t, want, r.Host, user)
		}
	}
}

func TestA06SpellingsOfALoginArePlacedTogether(t *testing.T) {
	h := newHash(t, hashHosts(50))
	want, err := h.Map(t.Context(), "alice@example.test")
	require.NoError(t, err)
	for _, user := range []string{"ALICE@example.test", "alice@Example.Test.", `"alice"@example.test`, "alice+tag@example.test", "Alice+x+y@example.test"} {
		r, err := h.Map(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, want, r, user)
	}
}

func TestHostsThatCannotBeUsedAreRefused(t *testing.T) {
	for _, hosts := range [][]HashHost{
		nil, {{Route: Route{Host: "a"}}, {Route: Route{Host: "a"}, Tag: "x"}}, {{Route: Route{Host: "a"}, Weight: -1}}, {{Route: Route{Host: "a"}, Weight: 1001}},
		{{Route: Route{Host: "a"}, Name: "b"}, {Route: Route{Host: "b"}}},
	} {
		_, err := NewHash(hosts, HashOptions{})
		require.ErrorIs(t, err, ErrHosts)
	}
	_, err := NewHash([]HashHost{{}}, HashOptions{})
	require.ErrorIs(t, err, ErrBadRoute)
}

func TestTheLogarithmIsRight(t *testing.T) {
	for _, x := range []uint64{0, 1, 2, 3, 1 << 20, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64, 0x123456789abcdef} {
		require.InDelta(t, math.Log2(float64(x)+1), float64(log2(x))/(1<<32), 1e-9, "%d", x)
	}
	for range 100_000 {
		x := rand.Uint64() >> rand.IntN(64)
		require.InDelta(t, math.Log2(float64(x)+1), float64(log2(x))/(1<<32), 1e-9, "%d", x)
	}
}

func BenchmarkHash(b *testing.B) {
	h := newHash(b, hashHosts(40))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Map(b.Context(), "alice@example.test"); err != nil {
			b.Fatal(err)
		}
	}
}
