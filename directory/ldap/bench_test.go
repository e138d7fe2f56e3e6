package ldap

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// benchConnections is how many connections both sides have.
const benchConnections = 8

// BenchmarkLookup measures uncached lookups through a Connector beside
// go-ldap alone with as many connections, each in a loop of its own: on the
// same server, in turns. The goal is a ratio of at least 90 %.
func BenchmarkLookup(b *testing.B) {
	b.Run("stub", func(b *testing.B) {
		s := full(b)
		beside(b, Config{URIs: []string{s.URI()}, Base: base}, "u1@example.test")
	})
	b.Run("slapd", func(b *testing.B) {
		realtest.Require(b, "slapd")
		s, err := realtest.StartSlapd(b.Context(), realtest.SlapdOptions{Users: 200})
		require.NoError(b, err)
		defer s.Stop()
		beside(b, Config{URIs: []string{s.URI()}, Base: realtest.SlapdBase}, "user1@example.test")
	})
}

func beside(b *testing.B, config Config, user string) {
	config.Connections = benchConnections
	c, err := New(config)
	require.NoError(b, err)
	defer c.Close()
	raw := make([]*ldap.Conn, benchConnections)
	for i := range raw {
		raw[i], err = ldap.DialURL(config.URIs[0])
		require.NoError(b, err)
		defer raw[i].Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	ours := func(int) {
		if _, err := c.Lookup(ctx, user); err != nil {
			b.Error(err)
		}
	}
	theirs := func(worker int) {
		req := ldap.NewSearchRequest(config.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 5, false,
			"(mail="+ldap.EscapeFilter(user)+")", c.defaults, nil)
		if res, err := raw[worker].Search(req); err != nil || len(res.Entries) != 1 {
			b.Error(res, err)
		}
	}
	together(benchConnections, ours) // connects
	const turn = 50 * benchConnections
	var ratios []float64
	var spent [2]time.Duration
	turns := b.N/turn + 1
	b.ResetTimer()
	for range turns {
		a, t := together(turn, ours), together(turn, theirs)
		ratios = append(ratios, 100*float64(t)/float64(a))
		spent[0] += a
		spent[1] += t
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "%of-go-ldap") // the median, since others use the machine too
	b.ReportMetric(float64(spent[0].Nanoseconds())/float64(turns*turn), "ns/lookup")
	b.ReportMetric(float64(spent[1].Nanoseconds())/float64(turns*turn), "ns/go-ldap")
	b.ReportMetric(testing.AllocsPerRun(200, func() { ours(0) })-testing.AllocsPerRun(200, func() { theirs(0) }), "more-allocs")
	b.ReportMetric(0, "ns/op")
}

// together does something n times, by as many workers as there are
// connections, and returns how long that takes.
func together(n int, do func(worker int)) time.Duration {
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	begun := time.Now()
	for worker := range benchConnections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				do(worker)
			}
		})
	}
	wg.Wait()
	return time.Since(begun)
}
