package queuetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

// Durable is a queue whose power can be cut.
type Durable struct {
	Queue queue.Queue
	// Crash returns the queue as it is after a power cut at this moment: opened
	// anew on what was durable, with whatever was not durable gone. It is called
	// while the old queue is in use. What the old one does from then on must not
	// reach the new one; its methods may fail, but must return. Both are closed
	// by t.Cleanup.
	Crash func() Durable
}

// OpenDurable makes an empty queue that asks now for the time, before a crash
// and after it, and whose power can be cut.
type OpenDurable func(t *testing.T, now func() time.Time) Durable

// RunDurable checks, on queues that open makes, that what was acknowledged is
// there after a power cut, whole, and that nothing is half there. Queues that
// promise less, such as those in memory, don't run it.
func RunDurable(t *testing.T, open OpenDurable) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, *plug)
	}{
		{"Acknowledged", acknowledgedTests},
		{"Whole", wholeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, f := range group.tests {
				t.Run(name, func(t *testing.T) {
					clock := NewClock()
					d := open(t, clock.Now)
					f(t, &plug{&bench{t: t, ctx: t.Context(), q: d.Queue, clock: clock}, d.Crash})
				})
			}
		})
	}
}

// plug is a bench whose power can be cut.
type plug struct {
	*bench
	crash func() Durable
}

// cut cuts the power and goes on with what is left. Claims are lost: the clock
// goes on until their leases would have ended.
func (p *plug) cut() {
	p.t.Helper()
	d := p.crash()
	p.q, p.crash = d.Queue, d.Crash
	p.clock.Advance(lease)
}

// waiting is one recipient as the next claim shows it.
type waiting struct {
	to       string
	attempts int
}

// look claims everything that is due within a day, and lets the leases end.
// It requires that the content of every message is the one that is wanted, if
// one is.
func (p *plug) look(content string) map[queue.ID][]waiting {
	p.t.Helper()
	p.clock.Advance(24 * time.Hour)
	there := make(map[queue.ID][]waiting)
	for claims := p.claim(1000); len(claims) > 0; claims = p.claim(1000) {
		for _, c := range claims {
			for i, to := range recipients(c) {
				there[c.ID] = append(there[c.ID], waiting{to, c.States[i].Attempts})
			}
			if content != "" {
				require.Equal(p.t, content, p.content(c.Body))
			}
		}
	}
	for _, all := range there {
		slices.SortFunc(all, func(a, b waiting) int { return strings.Compare(a.to, b.to) })
	}
	p.clock.Advance(lease)
	return there
}
