package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
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
	dir, err := os.MkdirTemp(".", "bench")
	require.NoError(b, err)
	defer os.RemoveAll(dir)
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
