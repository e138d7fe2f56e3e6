//go:build unix

package mapping

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// BenchmarkCachedLookup prints what a remembered route costs beside a bare map
// behind an RWMutex, from one goroutine and from a hundred to each processor.
// The targets: below a microsecond, and no allocation. Then it prints what a
// user costs in memory.
func BenchmarkCachedLookup(b *testing.B) {
	const users = 100_000
	c := NewCache(Static(Route{Host: "backend.example.test", Port: 1143}), CacheOptions{})
	plain, mu := make(map[string]Route), sync.RWMutex{}
	for i := range users {
		r, err := c.Map(b.Context(), millionUser(i))
		require.NoError(b, err)
		plain[millionUser(i)] = r
	}
	ctx := context.Background()
	cached := func(user string) bool { _, err := c.Map(ctx, user); return err == nil }
	bare := func(user string) bool {
		mu.RLock()
		_, ok := plain[user]
		mu.RUnlock()
		return ok
	}
	for _, kind := range []struct {
		name string
		find func(string) bool
	}{{"cache", cached}, {"map", bare}} {
		b.Run(kind.name, func(b *testing.B) { someLookups(b, users, kind.find) })
		b.Run(kind.name+"/many", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(100)
			b.RunParallel(func(pb *testing.PB) {
				var name [64]byte
				random := rand.New(rand.NewPCG(1, rand.Uint64()))
				for pb.Next() {
					user := appendUser(name[:0], random.IntN(users))
					if !kind.find(unsafe.String(&user[0], len(user))) {
						b.Error(string(user))
					}
				}
			})
		})
	}
	b.Run("memory", func(b *testing.B) {
		before := heap()
		c := NewCache(MapperFunc(func(context.Context, string) (Route, error) {
			return Route{Host: string([]byte("backend.example.test")), Port: 1143}, nil
		}), CacheOptions{})
		for i := range users {
			_, _ = c.Map(ctx, millionUser(i))
		}
		b.ReportMetric(float64(heap()-before)/users, "octets/user")
		runtime.KeepAlive(c)
	})
}

// BenchmarkReload prints the longest lookup while a map of a million names is
// read, beside the time that this takes.
func BenchmarkReload(b *testing.B) {
	table, err := ReadTable(millionLines())
	require.NoError(b, err)
	for b.Loop() {
		ctx, read := context.WithCancel(b.Context())
		began := time.Now()
		go func() {
			defer read()
			if _, err := ReadTable(millionLines()); err != nil {
				b.Error(err)
			}
		}()
		longest, n := time.Duration(0), 0
		for ; ctx.Err() == nil; n++ {
			user, began := millionUser(n%million), time.Now()
			if _, err := table.Map(ctx, user); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(began))
		}
		b.ReportMetric(time.Since(began).Seconds()*1000, "ms/reload")
		b.ReportMetric(longest.Seconds()*1000, "ms/longest-lookup")
		b.ReportMetric(float64(n), "lookups-meanwhile")
	}
}
