//go:build unix

package mapping

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const million = 1_000_000

func appendUser(b []byte, i int) []byte {
	b = strconv.AppendInt(append(b, "user"...), int64(million+i), 10)
	b = strconv.AppendInt(append(b, "@customer"...), int64(i%5000), 10)
	return append(b, ".example.test"...)
}

func millionUser(i int) string { return string(appendUser(nil, i)) }

// millionLines writes a map of a million names on 40 back ends.
func millionLines() io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := range million {
			fmt.Fprintf(w, "%s backend%d.example.test:1143\n", millionUser(i), i%40)
		}
		w.Close()
	}()
	return r
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMillionNames prints what a name costs in memory and how many
// lookups a core does each second, beside a map[string]Route with the same
// content. The targets: below 120 octets, above two million.
func BenchmarkMillionNames(b *testing.B) {
	before := heap()
	start := time.Now()
	table, err := ReadTable(millionLines())
	require.NoError(b, err)
	took := time.Since(start)
	size := float64(heap()-before) / million
	b.Run("table", func(b *testing.B) {
		lookups(b, func(u string) bool { _, err := table.Map(context.Background(), u); return err == nil })
		b.ReportMetric(size, "octets/name")
		b.ReportMetric(took.Seconds(), "s/load")
	})
	runtime.KeepAlive(table)
	table = nil

	before = heap()
	plain := make(map[string]Route)
	for i := range million {
		plain[millionUser(i)] = Route{Host: "backend.example.test", Port: 1143}
	}
	size = float64(heap()-before) / million
	b.Run("map", func(b *testing.B) {
		lookups(b, func(u string) bool { _, ok := plain[u]; return ok })
		b.ReportMetric(size, "octets/name")
	})
	runtime.KeepAlive(plain)
}

// lookups looks names up in random order. A name is in the processor's cache
// then, as one is that a client has just sent.
func lookups(b *testing.B, find func(string) bool) { someLookups(b, million, find) }

// someLookups is lookups of the first users.
func someLookups(b *testing.B, users int, find func(string) bool) {
	b.ReportAllocs()
	var name [64]byte
	random := rand.New(rand.NewPCG(1, 2))
	before := processorTime(b)
	for b.Loop() {
		user := appendUser(name[:0], random.IntN(users))
		if !find(unsafe.String(&user[0], len(user))) {
			b.Fatal(string(user))
		}
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-before).Seconds(), "lookups/core-s")
}

// processorTime is what this process has used: a machine that is shared does
// not distort it much.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
