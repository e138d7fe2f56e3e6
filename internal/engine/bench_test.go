package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/message"
)

// delivery is what a store writes for one message: the message's own key, the
// mailbox's counters, the place in the order of changes, the body, and a cache
// of what FETCH asks for.
type delivery struct {
	e     *Engine
	body  message.Body
	next  atomic.Uint64
	cache []byte
}

func (d *delivery) deliver() error {
	return d.e.Commit(context.Background(), &Change{Body: d.body, Build: d.build})
}

func (d *delivery) build(tx *Tx) error {
	n := d.next.Add(1)
	mailbox := n % 64
	var key [24]byte
	k := binary.BigEndian.AppendUint64(append(key[:0], 'm'), mailbox)
	tx.Set(binary.BigEndian.AppendUint64(k, n), d.cache[:40])
	k[0] = 'q'
	tx.Set(binary.BigEndian.AppendUint64(k, n), d.cache[:9])
	k[0] = 's'
	tx.Set(k, d.cache[:48])
	tx.Ref(tx.Blob(), 1)
	k = binary.BigEndian.AppendUint64(append(key[:0], 'c'), uint64(tx.Blob()))
	tx.Cache(k, d.cache)
	return nil
}

func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1 << 10, 50 << 10} {
		for _, workers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%dKiB/x%d", size>>10, workers), func(b *testing.B) { benchmarkCommit(b, size, workers) })
		}
	}
}

func benchmarkCommit(b *testing.B, size, workers int) {
	dir := b.TempDir()
	o := quiet(vfs.Default)
	e, err := Open(dir+"/e", o)
	require.NoError(b, err)
	defer e.Close()
	limit, err := enginetest.NewLimit(dir)
	require.NoError(b, err)
	defer limit.Close()
	d := &delivery{e: e, body: message.FromBytes(octets(size, 1)), cache: octets(600, 2)}
	require.NoError(b, d.deliver())
	same := octets(int(e.Stats().Written), 3)
	before := e.Stats()
	enginetest.Compare(b, workers, d.deliver, func() error { return limit.Append(same) })
	after := e.Stats()
	b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(after.Changes-before.Changes), "syncs/change")
}

// BenchmarkOpen opens a store of 100,000 mailboxes of five keys after a clean
// stop, and after a crash that left as much of it to catch up as there can be.
func BenchmarkOpen(b *testing.B) {
	const mailboxes, keys = 100_000, 5
	dir := b.TempDir()
	e, err := Open(dir, quiet(vfs.Default))
	require.NoError(b, err)
	for m := 0; m < mailboxes; m += 100 {
		require.NoError(b, tryCommit(e, nil, func(tx *Tx) error {
			for i := range 100 * keys {
				tx.Set(fmt.Appendf(nil, "mailbox/%08d/%d", m+i/keys, i%keys), make([]byte, 48))
			}
			return nil
		}))
	}
	require.NoError(b, e.Close())
	b.Run("clean", func(b *testing.B) {
		for b.Loop() {
			e, err := Open(dir, quiet(vfs.Default))
			require.NoError(b, err)
			b.StopTimer()
			b.ReportMetric(float64(resident())/(1<<20), "MB-resident")
			require.NoError(b, e.Close())
			b.StartTimer()
		}
	})
	b.Run("catch-up", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			lost := b.TempDir()
			require.NoError(b, os.CopyFS(lost+"/log", os.DirFS(dir+"/log")))
			b.StartTimer()
			e, err := Open(lost, quiet(vfs.Default))
			require.NoError(b, err)
			b.StopTimer()
			require.NoError(b, e.Close())
			b.StartTimer()
		}
	})
}

// resident is the process's resident memory in octets, 0 where it is unknown.
func resident() (n int64) {
	status, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		fmt.Sscan(strings.Fields(string(status))[1], &n)
	}
	return n * int64(os.Getpagesize())
}
