package ldap

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

// benchConnections is how many connections both sides have.
const benchConnections = 8

// BenchmarkLookup measures uncached lookups through a Connector beside
// go-ldap alone with as many connections, each in a loop of its own, in turns
// on the same server. The goal is a ratio of at least 90 %.
func BenchmarkLookup(b *testing.B) {
	s := full(b)
	c := connectTo(b, func(c *Config) { c.Connections = benchConnections }, s)
	raw := make([]*ldap.Conn, benchConnections)
	for i := range raw {
		conn, err := ldap.DialURL(s.URI())
		require.NoError(b, err)
		defer conn.Close()
		raw[i] = conn
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	ours := func(int) {
		if _, err := c.Lookup(ctx, "u1@example.test"); err != nil {
			b.Error(err)
		}
	}
	theirs := func(worker int) {
		req := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
			"(mail="+ldap.EscapeFilter("u1@example.test")+")", c.defaults, nil)
		if res, err := raw[worker].Search(req); err != nil || len(res.Entries) != 1 {
			b.Error(res, err)
		}
	}
	var spent [2]time.Duration
	const slices = 100 // in turns, so that the load of the machine is the same for both
	for range b.N/slices + 1 {
		spent[0] += together(slices*benchConnections, ours)
		spent[1] += together(slices*benchConnections, theirs)
	}
	n := float64(b.N/slices+1) * slices * benchConnections
	b.ReportMetric(float64(spent[0].Nanoseconds())/n, "ns/lookup")
	b.ReportMetric(float64(spent[1].Nanoseconds())/n, "ns/go-ldap")
	b.ReportMetric(100*float64(spent[1])/float64(spent[0]), "%of-go-ldap")
	b.ReportMetric(0, "ns/op")
}

// together does something n times, by as many workers as there are connections.
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
