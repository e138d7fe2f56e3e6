package local

import (
	"errors"
	"fmt"
	"os"
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
	l := &load{b: b, dir: benchDir(b)}
	l.open()
	return l
}

// newFilledLoad is a load with n messages at rest, or as many as
// POSTHOUSE_QUEUE says.
func newFilledLoad(b *testing.B, n int) *load {
	dir := benchDir(b)
	filled(b, dir+"/e", n)
	l := &load{b: b, dir: dir}
	l.next.Store(int64(n))
	l.open()
	return l
}

func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(".", "bench")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	return dir
}

func (l *load) open() {
	var err error
	l.limit, err = enginetest.NewLimit(l.dir)
	require.NoError(l.b, err)
	l.q, l.e, err = openBench(l.dir + "/e")
	require.NoError(l.b, err)
	l.b.Cleanup(func() {
		require.NoError(l.b, l.limit.Close())
		require.NoError(l.b, l.q.Close())
		require.NoError(l.b, l.e.Close())
	})
}

func openBench(dir string) (*Queue, *engine.Engine, error) {
	e, err := engine.Open(dir, engine.Options{Logger: quietLog})
	if err != nil {
		return nil, nil, err
	}
	q, err := open(e, Options{})
	return q, e, err
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

// warm lets the queue read the first recipients of each destination.
func (l *load) warm() {
	claims, err := l.q.Claim(testContext, destinations, time.Hour)
	require.NoError(l.b, err)
	for _, c := range claims {
		require.NoError(l.b, l.q.Release(testContext, c))
	}
}

func (l *load) claim() (queue.Claim, error) {
	claims, err := l.q.Claim(testContext, 1, time.Hour)
	if err == nil && len(claims) == 0 {
		err = errEmpty
	}
	if err != nil {
		return queue.Claim{}, err
	}
	return claims[0], nil
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

// goalSettle is how many recipients should be claimed and settled per second.
const goalSettle = 20_000

// BenchmarkSettle claims messages of one recipient each and settles them for
// good, by so many claimers at a time that claim one each; in "x64of64" by 64
// that share claims of 64, as the senders of a node do. The queue has been open
// for a while: the first recipients of each destination are in memory. There are 60,000
// messages at rest, or as many as POSTHOUSE_QUEUE says.
func BenchmarkSettle(b *testing.B) {
	l := newFilledLoad(b, 60_000)
	l.warm()
	for _, c := range []struct{ workers, claim int }{{1, 1}, {8, 1}, {64, 1}, {64, 64}} {
		name := fmt.Sprintf("x%d", c.workers)
		if c.claim > 1 {
			name += fmt.Sprintf("of%d", c.claim)
		}
		b.Run(name, func(b *testing.B) {
			l.b = b
			shared := claims{l: l, n: c.claim}
			l.measure(c.workers, func() error { return shared.settle(queue.Outcome{Done: true}) })
			shared.release()
			b.ReportMetric(goalSettle, "goal/s")
		})
	}
}

// claims hands out n claims that were made at one time, one by one.
type claims struct {
	l  *load
	n  int
	mu sync.Mutex
	of []queue.Claim
}

func (c *claims) settle(o queue.Outcome) error {
	one, err := c.next()
	if err != nil {
		return err
	}
	return c.l.q.Settle(testContext, one, []queue.Outcome{o})
}

func (c *claims) next() (queue.Claim, error) {
	if c.n == 1 {
		return c.l.claim()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.of) == 0 {
		var err error
		if c.of, err = c.l.q.Claim(testContext, c.n, time.Hour); err != nil {
			return queue.Claim{}, err
		}
	}
	if len(c.of) == 0 {
		return queue.Claim{}, errEmpty
	}
	one := c.of[0]
	c.of = c.of[1:]
	return one, nil
}

func (c *claims) release() {
	for _, one := range c.of {
		require.NoError(c.l.b, c.l.q.Release(testContext, one))
	}
}

// BenchmarkRetry claims one and puts it off.
func BenchmarkRetry(b *testing.B) {
	l := newFilledLoad(b, 20_000)
	shared := claims{l: l, n: 1}
	l.measure(64, func() error { return shared.settle(queue.Outcome{Retry: time.Now().Add(time.Millisecond)}) })
}
