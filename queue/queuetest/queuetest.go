// Package queuetest checks that a queue keeps the promises of package queue.
//
// Run drives a queue through every promise that can be seen from outside while
// it lives; RunDurable cuts its power, too. They control time: the queue under
// test takes its clock from the suite. A test beside queue/memory breaks that
// queue in many ways, one at a time, and shows that they notice each.
package queuetest

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// Open makes an empty queue that asks now for the time. It is closed by
// t.Cleanup.
type Open func(t *testing.T, now func() time.Time) queue.Queue

// Run checks every promise on queues that open makes.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, *bench)
	}{
		{"Put", putTests},
		{"Claim", claimTests},
		{"Settle", settleTests},
		{"Lease", leaseTests},
		{"Fair", fairTests},
		{"Next", nextTests},
		{"Powers", powerTests},
		{"Concurrent", concurrentTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, f := range group.tests {
				t.Run(name, func(t *testing.T) { f(t, newBench(t, open)) })
			}
		})
	}
}

// Clock is a clock that moves only when it is told to. It is safe for
// concurrent use. The zero Clock is not usable, see NewClock.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a moment of the year 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock and returns its new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// lease is how long the suite claims for.
const lease = 10 * time.Minute

// bench is one queue under test with its clock.
type bench struct {
	t     *testing.T
	ctx   context.Context
	q     queue.Queue
	clock *Clock
}

func newBench(t *testing.T, open Open) *bench {
	clock := NewClock()
	return &bench{t: t, ctx: t.Context(), q: open(t, clock.Now), clock: clock}
}

// body is a message.Body over a string.
type body struct{ *strings.Reader }

func newBody(s string) message.Body { return body{strings.NewReader(s)} }

func (b body) Size() int64 { return b.Reader.Size() }

// to builds a message with one recipient for each address.
func to(addresses ...string) *queue.Message {
	m := &queue.Message{
		Prefix: []byte("Received: from here\r\n"),
		Body:   newBody("Subject: test\r\n\r\nHello.\r\n"),
	}
	m.Envelope.From = mail.MustParseAddress("sender@home.test")
	for _, a := range addresses {
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	return m
}

// put queues a message for addresses.
func (b *bench) put(addresses ...string) queue.ID {
	b.t.Helper()
	return b.putMessage(to(addresses...))
}

func (b *bench) putMessage(m *queue.Message) queue.ID {
	b.t.Helper()
	id, err := b.q.Put(b.ctx, m)
	require.NoError(b.t, err)
	return id
}

// many queues n messages, each for one recipient of a domain, and returns
// their ids in order.
func (b *bench) many(n int, domain string) []queue.ID {
	b.t.Helper()
	ids := make([]queue.ID, n)
	var wait sync.WaitGroup
	const width = 50
	for w := range width {
		wait.Go(func() {
			for i := w; i < n; i += width {
				var err error
				if ids[i], err = b.q.Put(b.ctx, to(fmt.Sprintf("u%d@%s", i, domain))); err != nil {
					b.t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
	return ids
}

// claim leases up to n groups.
func (b *bench) claim(n int) []queue.Claim {
	b.t.Helper()
	claims, err := b.q.Claim(b.ctx, n, lease)
	require.NoError(b.t, err)
	require.LessOrEqual(b.t, len(claims), n)
	return claims
}

// first leases up to n groups, of which there must be one, and returns the first.
func (b *bench) first(n int) queue.Claim {
	b.t.Helper()
	claims := b.claim(n)
	require.NotEmpty(b.t, claims)
	return claims[0]
}

// one leases the one group that must be due.
func (b *bench) one() queue.Claim {
	b.t.Helper()
	claims := b.claim(10)
	require.Len(b.t, claims, 1)
	return claims[0]
}

// settle ends a claim with the same outcome for all of its recipients.
func (b *bench) settle(c queue.Claim, o queue.Outcome) {
	b.t.Helper()
	require.NoError(b.t, b.q.Settle(b.ctx, c, same(c, o)))
}

func same(c queue.Claim, o queue.Outcome) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(c.States))
	for i := range outcomes {
		outcomes[i] = o
	}
	return outcomes
}

// done is the outcome of a recipient that is settled for good.
var done = queue.Outcome{Done: true}

// later is the outcome of one to try again after a while.
func (b *bench) later(d time.Duration) queue.Outcome {
	return queue.Outcome{Retry: b.clock.Now().Add(d), Reply: mail.Errorf(451, [3]int{4, 2, 1}, "Later")}
}

// content reads a body whole.
func (b *bench) content(m message.Body) string {
	b.t.Helper()
	all, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	require.NoError(b.t, err)
	require.EqualValues(b.t, m.Size(), len(all))
	return string(all)
}

// power finds an optional power of the queue or skips the test.
func power[T any](b *bench) T {
	p, ok := queue.As[T](b.q)
	if !ok {
		b.t.Skipf("the queue has no %v", reflect.TypeFor[T]())
	}
	return p
}

// list returns all entries.
func (b *bench) list() []queue.Entry {
	b.t.Helper()
	var entries []queue.Entry
	require.NoError(b.t, power[queue.Lister](b).List(b.ctx, func(e queue.Entry) bool {
		entries = append(entries, e)
		return true
	}))
	return entries
}

// recipients returns the addresses of a claim.
func recipients(c queue.Claim) []string {
	var all []string
	for _, r := range c.Envelope.Recipients {
		all = append(all, r.To.String())
	}
	return all
}

// domains counts the claims of each destination.
func domains(claims []queue.Claim) map[string]int {
	n := make(map[string]int)
	for _, c := range claims {
		n[c.Destination]++
	}
	return n
}
