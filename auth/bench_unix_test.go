//go:build unix

package auth

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRememberedLogin prints beside a lookup what its parts cost alone: a
// bare map, and one keyed hash. The time of the processor counts, which other
// work on the machine changes little.
func BenchmarkRememberedLogin(b *testing.B) {
	creds := Credentials{Service: "imap", User: "alice@example.test", Password: "correct horse battery staple", Remote: home, Secure: true}
	c := NewCache(trusting, CacheOptions{})
	bare := make(map[[2]string]Identity)
	for i := range 50_000 {
		other := creds
		other.User = fmt.Sprint(i)
		_, _ = c.Authenticate(context.Background(), other)
		bare[[2]string{other.User, other.Password}] = Identity{}
	}
	bare[[2]string{creds.User, creds.Password}] = Identity{}
	for name, once := range map[string]func() bool{
		"cache": func() bool {
			id, err := c.Authenticate(context.Background(), creds)
			return err == nil && id.User == creds.User
		},
		"bare-map":   func() bool { _, ok := bare[[2]string{creds.User, creds.Password}]; return ok },
		"keyed-hash": func() bool { return c.digests.of(&creds) != digest{} },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				if !once() {
					b.Fatal("lost")
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return used.Utime.Nano() + used.Stime.Nano()
}
