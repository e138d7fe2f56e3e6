package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// load is a queue on the disk with traffic for 5,000 destinations.
type load struct {
	b     *testing.B
	dir   string
	e     *engine.Engine
	q     *Queue
	limit *enginetest.Limit
	next  atomic.Int64
}

const destinations = 5000

func newLoad(b *testing.B) *load {
	dir, err := os.MkdirTemp(".", "bench")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	l := &load{b: b, dir: dir}
	l.open()
	l.limit, err = enginetest.NewLimit(dir)
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, l.limit.Close())
		l.close()
	})
	return l
}

func (l *load) open() {
	var err error
	l.e, err = engine.Open(l.dir+"/e", engine.Options{Logger: quietLog})
	require.NoError(l.b, err)
	l.q, err = open(l.e, Options{})
	require.NoError(l.b, err)
}

func (l *load) close() {
	require.NoError(l.b, l.q.Close())
	require.NoError(l.b, l.e.Close())
}

var benchBody = message.FromBytes([]byte(strings.Repeat("0123456789", 30)))

func (l *load) put() error {
	n := l.next.Add(1)
	_, err := l.q.Put(testContext, benchMessages()[n*7919%destinations])
	return err
}

// benchMessages are messages for one recipient each, of a destination each.
var benchMessages = sync.OnceValue(func() []*queue.Message {
	all := make([]*queue.Message, destinations)
	for i := range all {
		m := &queue.Message{Body: benchBody, Prefix: []byte("Received: from a.test by b.test; Mon, 1 Jan 2026 00:00:00 +0000\r\n")}
		m.Envelope.From = mail.MustParseAddress("sender@home.test")
		m.Envelope.Recipients = []mail.Recipient{{To: mail.MustParseAddress(fmt.Sprintf("user%d@d%d.test", i, i))}}
		all[i] = m
	}
	return all
})

// fill puts n messages.
func (l *load) fill(n int) {
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			for range n / 64 {
				if err := l.put(); err != nil {
					l.b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func (l *load) settle(n int, o queue.Outcome) error {
	claims, err := l.q.Claim(testContext, n, time.Hour)
	for _, c := range claims {
		if err := l.q.Settle(testContext, c, []queue.Outcome{o}); err != nil {
			return err
		}
	}
	if err == nil && len(claims) == 0 {
		return errEmpty
	}
	return err
}

var errEmpty = errors.New("nothing is due: fewer rounds, please")

// measure learns what one change writes and runs it beside the limit.
func (l *load) measure(workers int, f func() error) {
	before := l.e.Stats()
	require.NoError(l.b, f())
	same := make([]byte, l.e.Stats().Written-before.Written)
	before = l.e.Stats()
	enginetest.Compare(l.b, workers, f, func() error { return l.limit.Append(same) })
	after := l.e.Stats()
	l.b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(after.Changes-before.Changes), "syncs/change")
	l.b.ReportMetric(float64(len(same)), "octets/change")
}

func BenchmarkPut(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("x%d", workers), func(b *testing.B) {
			l := newLoad(b)
			l.measure(workers, l.put)
		})
	}
}

// BenchmarkSettle claims one and settles it for good, with some thousand
// messages at rest, or as many as POSTHOUSE_QUEUE says.
func BenchmarkSettle(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("x%d", workers), func(b *testing.B) {
			l := newLoad(b)
			l.fill(times(b, "POSTHOUSE_QUEUE", 20_000+2000*workers))
			l.measure(workers, func() error { return l.settle(1, queue.Outcome{Done: true}) })
		})
	}
}

// BenchmarkRetry claims one and puts it off.
func BenchmarkRetry(b *testing.B) {
	l := newLoad(b)
	l.fill(20_000)
	l.measure(64, func() error { return l.settle(1, queue.Outcome{Retry: time.Now().Add(time.Millisecond)}) })
}

// BenchmarkOpen opens a queue with messages at rest: 100,000, or as many as
// POSTHOUSE_QUEUE says.
func BenchmarkOpen(b *testing.B) {
	n := times(b, "POSTHOUSE_QUEUE", 100_000)
	l := newLoad(b)
	l.fill(n)
	var took, first time.Duration
	for b.Loop() {
		l.close()
		l.q = nil
		begin := time.Now()
		l.open()
		took += time.Since(begin)
		begin = time.Now()
		claims, err := l.q.Claim(testContext, 100, time.Hour)
		require.NoError(b, err)
		require.Len(b, claims, 100)
		first += time.Since(begin)
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "ms/first-100")
	b.ReportMetric(float64(m.HeapAlloc>>20), "MB-heap")
	b.ReportMetric(resident(), "MB-resident")
}

// resident is the memory of the process in MB.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages float64
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
