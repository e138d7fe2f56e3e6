package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/message"
)

// The goals for messages of 50 KiB of which 30 % are deleted.
const (
	goalWritten = 2.2 // octets written to the log and the index per octet of body, compaction included
	goalDisk    = 1.3 // octets on disk per octet of a body that lives, after compaction
)

// mailboxLoad delivers messages and deletes some of them.
type mailboxLoad struct {
	e         *Engine
	body      message.Body
	cache     []byte
	mu        sync.Mutex
	rng       *rand.Rand
	alive     []BlobID
	latencies []time.Duration
}

func newMailboxLoad(e *Engine) *mailboxLoad {
	return &mailboxLoad{e: e, body: message.FromBytes(octets(50<<10, 1)), cache: octets(600, 2), rng: rngOf(1)}
}

// deliver stores n messages; after each, with a chance of share, one of all
// that are there goes.
func (l *mailboxLoad) deliver(n int, share float64) error {
	d := &delivery{e: l.e, body: l.body, cache: l.cache}
	for range n {
		var id BlobID
		begin := time.Now()
		err := tryCommitBody(l.e, l.body, func(tx *Tx) error {
			id = tx.Blob()
			return d.build(tx)
		})
		if err != nil {
			return err
		}
		took := time.Since(begin)
		l.mu.Lock()
		l.latencies = append(l.latencies, took)
		l.alive = append(l.alive, id)
		gone := BlobID(0)
		if l.rng.Float64() < share {
			i := l.rng.IntN(len(l.alive))
			gone = l.alive[i]
			l.alive = slices.Delete(l.alive, i, i+1)
		}
		l.mu.Unlock()
		if gone == 0 {
			continue
		}
		if err := tryCommit(l.e, nil, func(tx *Tx) error { tx.Ref(gone, -1); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// work lets so many deliver at a time, n messages in all.
func (l *mailboxLoad) work(t testing.TB, workers, n int, share float64) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := l.deliver(n/workers, share); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func tryCommitBody(e *Engine, body message.Body, build func(tx *Tx) error) error {
	return e.Commit(context.Background(), &Change{Body: body, Build: build})
}

// amplification is what a load of n messages costs in dir: octets written per
// octet of body, and octets on disk per octet that lives when compaction has
// nothing left to do.
func amplification(t testing.TB, fs vfs.FS, dir string, n int, segment int64) (written, disk float64) {
	count := &enginetest.CountFS{FS: fs}
	o := quiet(count)
	o.SegmentSize, o.settle = segment, time.Millisecond
	e, err := Open(dir, o)
	require.NoError(t, err)
	l := newMailboxLoad(e)
	l.work(t, 8, n, 0.3)
	awaitCompaction(t, e)
	require.NoError(t, e.Close())
	live, err := enginetest.DiskOctets(fs, dir)
	require.NoError(t, err)
	size := float64(l.body.Size())
	return float64(count.Written.Load()) / (float64(n) * size), float64(live) / (float64(len(l.alive)) * size)
}

// awaitCompaction waits until compaction has nothing to do and what is empty
// has been removed, but for less than a new checkpoint would take.
func awaitCompaction(t testing.TB, e *Engine) {
	t.Helper()
	require.Eventually(t, func() bool {
		e.compacting <- struct{}{}
		_, more := e.mostDead()
		<-e.compacting
		if more {
			return false
		}
		e.janitor.flush()
		e.checkpointing.Lock()
		left := e.checkpoint.size
		e.checkpointing.Unlock()
		stats := e.Stats().Segments
		for _, s := range stats[:len(stats)-1] {
			if s.Bodies == 0 {
				left -= s.Size
			}
		}
		return left >= 0
	}, 20*time.Second, 5*time.Millisecond)
}

// TestAmplification: what is written and what is kept stays within its goals.
func TestAmplification(t *testing.T) {
	written, disk := amplification(t, vfs.NewMem(), "e", 1600, 2<<20)
	t.Logf("%.2f octets written per octet of body (goal %.1f), %.2f on disk per live octet (goal %.1f)", written, goalWritten, disk, goalDisk)
	require.LessOrEqual(t, written, goalWritten)
	require.LessOrEqual(t, disk, goalDisk)
}

// BenchmarkAmplification is the same on disk and with more, beside the goals.
func BenchmarkAmplification(b *testing.B) {
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		written, disk := amplification(b, vfs.Default, dir+"/"+string(rune('a'+i%26)), 4800, 8<<20)
		b.ReportMetric(written, "written/body")
		b.ReportMetric(goalWritten, "written-goal")
		b.ReportMetric(disk, "disk/live")
		b.ReportMetric(goalDisk, "disk-goal")
	}
}

// BenchmarkDeliverWhileCompacting prints the 99th percentile of deliveries
// among which 30 % of the messages are deleted, with compaction in the
// background and without.
func BenchmarkDeliverWhileCompacting(b *testing.B) {
	p99 := func(compaction string) float64 {
		o := quiet(vfs.Default)
		o.SegmentSize, o.settle, o.NoCompaction = 8<<20, time.Millisecond, compaction == "off"
		e, err := Open(b.TempDir(), o)
		require.NoError(b, err)
		defer e.Close()
		l := newMailboxLoad(e)
		l.work(b, 8, 1200, 0.3)
		l.latencies = nil
		l.work(b, 8, 2400, 0.3)
		if compaction == "on" {
			b.ReportMetric(float64(e.Stats().Moved)/float64(50<<10)/3600, "moved/delivery")
		}
		slices.Sort(l.latencies)
		return float64(l.latencies[len(l.latencies)*99/100].Microseconds())
	}
	var with, without, ratios []float64
	for b.Loop() {
		off, on := p99("off"), p99("on")
		with, without, ratios = append(with, on), append(without, off), append(ratios, on/off)
	}
	for _, v := range [][]float64{with, without, ratios} {
		slices.Sort(v)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(with[len(with)/2], "p99-us")
	b.ReportMetric(without[len(without)/2], "p99-without-us")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}
