package queuetest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

// wholeTests cut the power while changes are under way: each is there whole or
// not at all, and what was acknowledged before is there.
var wholeTests = map[string]func(*testing.T, *plug){
	"Puts": func(t *testing.T, p *plug) {
		acked := make(map[queue.ID]bool)
		for range cuts {
			p.during(acked, func(ctx context.Context, w *work) error {
				id, err := w.q.Put(ctx, to("a@one.test", "b@one.test", "c@two.test"))
				return w.acknowledge(id, err)
			})
			there := p.look(greeting)
			for id, all := range there {
				require.Equal(t, []waiting{{"a@one.test", 0}, {"b@one.test", 0}, {"c@two.test", 0}}, all, "message %d", id)
			}
			for id := range acked {
				require.Contains(t, there, id)
			}
		}
	},
	"SettlesForLater": func(t *testing.T, p *plug) {
		p.settles([]string{"a@one.test"}, []queue.Outcome{p.later(time.Hour)}, []waiting{{"a@one.test", 1}})
	},
	"SettlesOfSome": func(t *testing.T, p *plug) {
		later := p.later(time.Hour)
		p.settles([]string{"a@one.test", "b@one.test", "c@one.test"}, []queue.Outcome{later, done, later}, []waiting{{"a@one.test", 1}, {"c@one.test", 1}})
	},
	"SettlesOfTheLast": func(t *testing.T, p *plug) {
		p.settles([]string{"a@one.test", "b@one.test"}, []queue.Outcome{done, done}, nil)
	},
}

// cuts is how often a test cuts the power while changes are under way.
const cuts = 6

// settles cuts the power while messages are settled, and requires that each is
// as before or as it should be after.
func (p *plug) settles(addresses []string, outcomes []queue.Outcome, after []waiting) {
	var before []waiting
	for _, a := range addresses {
		before = append(before, waiting{a, 0})
	}
	for range cuts {
		var ids []queue.ID
		for range 60 {
			ids = append(ids, p.put(addresses...))
		}
		acked := make(map[queue.ID]bool)
		p.during(acked, func(ctx context.Context, w *work) error {
			claims, err := w.q.Claim(ctx, 1, lease)
			for _, c := range claims {
				if len(c.States) == len(outcomes) && c.States[0].Attempts == 0 {
					err = w.acknowledge(c.ID, w.q.Settle(ctx, c, outcomes))
				}
			}
			return err
		})
		there := p.look(greeting)
		for _, id := range ids {
			if acked[id] || len(there[id]) != len(before) || len(there[id]) > 0 && there[id][0].attempts > 0 {
				require.Equal(p.t, after, there[id], "message %d, acknowledged: %v", id, acked[id])
			} else {
				require.Equal(p.t, before, there[id], "message %d", id)
			}
		}
		for _, c := range p.claim(1000) {
			p.settle(c, done)
		}
		require.Empty(p.t, p.look(""))
	}
}

// work is what several do to a queue when its power is cut.
type work struct {
	q     queue.Queue
	mu    sync.Mutex
	cut   bool // what happens from now on doesn't count
	acked map[queue.ID]bool
}

// acknowledge takes down what was acknowledged before the cut. It returns the
// error that there was before it.
func (w *work) acknowledge(id queue.ID, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut && err == nil {
		w.acked[id] = true
	}
	return err
}

func (w *work) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

func (w *work) stopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// during lets four do something until the power is cut at some moment.
func (p *plug) during(acked map[queue.ID]bool, do func(ctx context.Context, w *work) error) {
	w := &work{q: p.q, acked: acked}
	ctx, cancel := context.WithCancel(p.ctx)
	var steps atomic.Int64
	until, enough := 1+rand.Int64N(25), make(chan struct{})
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for late := 0; late < 20 && ctx.Err() == nil; { // some go on while the power goes
				if steps.Add(1) == until {
					close(enough)
				}
				err := do(ctx, w)
				switch {
				case w.stopped():
					late++
				case err != nil:
					p.t.Error(err)
					cancel()
				}
				runtime.Gosched()
			}
		})
	}
	select {
	case <-enough:
	case <-ctx.Done():
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // the moment of the cut
	w.stop()
	p.cut()
	cancel()
	g.Wait()
}
