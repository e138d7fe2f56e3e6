package memory

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/mutation"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/queue/queuetest"
)

// fault is one way in which a queue can be wrong.
type fault struct {
	name   string
	caught string // the tests of the suite that must notice it, each of them: two groups and a name
	breaks func(*behaviour)
}

func faults() []fault {
	return slices.Concat(putFaults, claimFaults, settleFaults, leaseFaults, powerFaults, syncFaults, restartFaults)
}

// TestSuiteUnderMutation runs the whole suite against the queue that faults are
// built into. Without one it must pass, or what they show is nothing.
func TestSuiteUnderMutation(t *testing.T) {
	breaks := func(*behaviour) {}
	if name := mutation.Chosen(); name != "" {
		i := slices.IndexFunc(faults(), func(f fault) bool { return f.name == name })
		require.GreaterOrEqual(t, i, 0)
		breaks = faults()[i].breaks
	}
	t.Run("Living", func(t *testing.T) {
		queuetest.Run(t, func(t *testing.T, now func() time.Time) queue.Queue { return newMutant(newAt(now), breaks, nil) })
	})
	t.Run("Durable", func(t *testing.T) {
		queuetest.RunDurable(t, func(t *testing.T, now func() time.Time) queuetest.Durable { return durable(newAt(now), breaks) })
	})
}

// TestSuiteCatchesEveryMutation breaks the queue in one way at a time and
// requires that the tests of the suite that must notice it do.
func TestSuiteCatchesEveryMutation(t *testing.T) {
	var all []mutation.Mutation
	for _, f := range faults() {
		all = append(all, mutation.Mutation{Name: f.name, Caught: f.caught})
	}
	mutation.Prove(t, "TestSuiteUnderMutation", all)
}

func newAt(now func() time.Time) *Queue {
	q := New()
	q.Now = now
	return q
}

func newMutant(q *Queue, breaks func(*behaviour), d *disk) *mutant {
	x := &mutant{q, good(), d}
	x.how.sync = x.save
	breaks(x.how)
	return x
}

// durable makes a queue of which a copy is kept whenever it syncs: that is
// what a crash leaves.
func durable(q *Queue, breaks func(*behaviour)) queuetest.Durable {
	x := newMutant(q, breaks, new(disk))
	x.save()
	return queuetest.Durable{Queue: x, Crash: func() queuetest.Durable {
		x.disk.saved.Lock()
		left := x.disk.left.clone()
		x.disk.saved.Unlock()
		if x.how.restart != nil {
			x.how.restart(left)
		}
		return durable(left, breaks)
	}}
}

// clone copies a queue as it is at one moment, but for its leases, which are no
// durable promise.
func (q *Queue) clone() *Queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := newAt(q.Now)
	c.lastID = q.lastID
	for id, h := range q.messages {
		copied := *h
		copied.recipients = nil
		for _, r := range h.recipients {
			s := *r
			s.held = &copied
			copied.recipients = append(copied.recipients, &s)
			c.wait(&s)
		}
		c.messages[id] = &copied
	}
	return c
}

// inside calls f while nobody else does anything.
func (q *Queue) inside(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// all calls f for every recipient, and puts those that wait in line anew.
func (q *Queue) all(f func(*recipient)) {
	for _, h := range q.messages {
		for _, r := range h.recipients {
			if r.lease != nil {
				f(r)
				continue
			}
			q.leave(r)
			f(r)
			q.wait(r)
		}
	}
}
