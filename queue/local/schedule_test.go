package local

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// world drives a schedule as the queue does, one step at a time, so that the
// steps of several goroutines come in any order: a change is first in the
// index and only later published, and the index is read some time before what
// was read is used.
type world struct {
	t       *testing.T
	r       *rand.Rand
	s       *schedule
	now     int64
	lastID  engine.BlobID
	index   map[string]map[name]entry
	home    map[name]string // for ever
	publish []func()        // in the order of commits
	fills   []func()
	held    []*lease
	owner   map[name]*lease // who was given a recipient
	stale   [][]name        // what administrators read earlier
}

var places = []string{"one", "two"}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), s: newSchedule(), now: 1000, owner: map[name]*lease{}}
	w.index = map[string]map[name]entry{places[0]: {}, places[1]: {}}
	w.home = map[name]string{}
	return w
}

func (w *world) place() string { return places[w.r.IntN(len(places))] }

// due is a time around now; equal ones are frequent.
func (w *world) due() int64 { return w.now + int64(w.r.IntN(400)-300) }

func (w *world) put() {
	d, due := w.place(), w.due()
	w.lastID++
	var entries []entry
	for i := range 1 + w.r.IntN(3)*w.r.IntN(3) {
		e := entry{due, w.lastID, uint32(i)}
		w.index[d][e.name()] = e
		w.home[e.name()] = d
		entries = append(entries, e)
	}
	w.publish = append(w.publish, func() {
		for _, e := range entries {
			w.s.add(d, e, w.now)
		}
	})
}

func (w *world) crowd() {
	for range 3 * headSize {
		w.put()
	}
}

func (w *world) take() {
	for _, l := range w.s.advance(w.now) {
		w.lose(l)
	}
	leases, fill := w.s.take(1+w.r.IntN(30), w.now, w.now+int64(1+w.r.IntN(100)))
	for _, l := range leases {
		for _, e := range l.entries {
			require.Nil(w.t, w.owner[e.name()], "%v is claimed twice", e)
			require.Equal(w.t, e, w.index[l.d.name][e.name()], "what is claimed is in the index")
			require.LessOrEqual(w.t, e.due, w.now)
			w.owner[e.name()] = l
		}
		w.held = append(w.held, l)
	}
	for _, d := range fill {
		var read []entry
		horizon := end
		for _, e := range slices.SortedFunc(maps.Values(w.index[d.name]), entry.compare) {
			if e.before(d.horizon) {
				continue
			}
			if len(read) >= headSize && e.mark() != read[len(read)-1].mark() {
				horizon = e.mark()
				break
			}
			read = append(read, e)
		}
		failed := w.r.IntN(10) == 0
		w.fills = append(w.fills, func() {
			if failed {
				w.s.unfill(d, w.now)
			} else {
				w.s.fill(d, read, horizon, w.now)
			}
		})
	}
}

func (w *world) lose(l *lease) {
	w.held = slices.DeleteFunc(w.held, func(o *lease) bool { return o == l })
	for _, e := range l.entries {
		delete(w.owner, e.name())
	}
}

func (w *world) pick() *lease {
	if len(w.held) == 0 {
		return nil
	}
	return w.held[w.r.IntN(len(w.held))]
}

func (w *world) settle() {
	l := w.pick()
	if l == nil {
		return
	}
	w.held = slices.DeleteFunc(w.held, func(o *lease) bool { return o == l })
	w.s.hold(l)
	if w.r.IntN(8) == 0 { // the write failed
		w.publish = append(w.publish, func() { w.s.unhold(l); w.held = append(w.held, l) })
		return
	}
	var again []entry
	for _, e := range l.entries {
		delete(w.index[l.d.name], e.name())
		if w.r.IntN(3) > 0 {
			if w.r.IntN(3) > 0 {
				e.due = w.due()
			}
			w.index[l.d.name][e.name()] = e
			again = append(again, e)
		}
	}
	w.publish = append(w.publish, func() {
		w.s.end(l, again, w.now)
		w.lose(l)
	})
}

func (w *world) release() {
	if l := w.pick(); l != nil {
		w.lose(l)
		w.s.restore(l, w.now)
	}
}

// look reads names as an administrator does; they are used later.
func (w *world) look() {
	var names []name
	for n := range w.index[w.place()] {
		if w.r.IntN(4) == 0 {
			names = append(names, n)
		}
	}
	w.stale = append(w.stale, names)
}

func (w *world) alter() {
	if len(w.stale) == 0 {
		return
	}
	names := w.stale[0]
	w.stale = w.stale[1:]
	for _, d := range places {
		var here []name
		for _, n := range names {
			if w.home[n] == d {
				here = append(here, n)
			}
		}
		if l := w.s.reserve(d, here, w.now); l != nil {
			w.change(l)
		}
	}
}

func (w *world) change(l *lease) {
	var entries []entry
	for _, e := range l.entries {
		require.Nil(w.t, w.owner[e.name()], "%v is reserved and claimed", e)
		if e, ok := w.index[l.d.name][e.name()]; ok {
			w.owner[e.name()] = l
			entries = append(entries, e)
		}
	}
	w.s.refine(l, entries)
	failed, drop := w.r.IntN(5) == 0, w.r.IntN(3) == 0
	var done []func()
	for _, e := range entries {
		if failed {
			break
		}
		delete(w.index[l.d.name], e.name())
		if drop {
			done = append(done, func() { delete(w.owner, e.name()); w.s.move(l, e, -1) })
			continue
		}
		moved := entry{w.now, e.id, e.number}
		w.index[l.d.name][e.name()] = moved
		done = append(done, func() { w.s.move(l, e, moved.due) })
	}
	w.publish = append(w.publish, func() {
		for _, f := range done {
			f()
		}
		for _, e := range l.entries {
			delete(w.owner, e.name())
		}
		w.s.restore(l, w.now)
	})
}

func (w *world) publishSome() {
	for range min(len(w.publish), 1+w.r.IntN(100)) {
		f := w.publish[0]
		w.publish = w.publish[1:]
		f()
	}
}

func (w *world) fillOne() {
	if n := len(w.fills); n > 0 {
		i := w.r.IntN(n)
		f := w.fills[i]
		w.fills = slices.Delete(w.fills, i, i+1)
		f()
	}
}

// drain lets everything end and claims what is left.
func (w *world) drain() {
	for len(w.publish) > 0 || len(w.fills) > 0 {
		w.publishSome()
		w.fillOne()
	}
	for len(w.held) > 0 {
		w.release()
	}
	w.s.setLimit(0, w.now)
	want, got := map[name]bool{}, map[name]bool{}
	for _, index := range w.index {
		for n := range index {
			want[n] = true
		}
	}
	w.now = math.MaxInt64 / 2
	for {
		before := len(w.held)
		w.take()
		if len(w.held) == before && len(w.fills) == 0 {
			break
		}
		for len(w.fills) > 0 {
			w.fillOne()
		}
	}
	for _, l := range w.held {
		for _, e := range l.entries {
			got[e.name()] = true
		}
	}
	require.Equal(w.t, len(want), len(got), "every recipient can be claimed")
	require.Equal(w.t, want, got)
	for len(w.held) > 0 {
		l := w.held[0]
		w.lose(l)
		w.s.hold(l)
		w.s.end(l, nil, w.now)
	}
	require.Empty(w.t, w.s.destinations)
	require.Empty(w.t, w.s.claimed)
	require.Empty(w.t, w.s.leases)
	require.Empty(w.t, w.s.later)
	require.Empty(w.t, w.s.ending)
	require.Zero(w.t, w.s.ring.Len())
}

func TestScheduleLosesAndDoublesNothingInAnyOrder(t *testing.T) {
	fills := 0
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			if seed%3 == 0 {
				w.s.setLimit(5, w.now)
			}
			actions := []func(){
				w.put, w.take, w.take, w.take, w.take, w.settle, w.settle, w.settle, w.release, w.look, w.alter,
				w.publishSome, w.publishSome, w.fillOne,
			}
			for i := range 1500 {
				if i%100 == 50 {
					w.crowd()
				}
				before := len(w.fills)
				actions[w.r.IntN(len(actions))]()
				fills += max(0, len(w.fills)-before)
				w.now += int64(w.r.IntN(2))
				for _, d := range w.s.destinations {
					if i%10 > 0 {
						break
					}
					require.True(t, slices.IsSortedFunc(d.head, entry.compare))
					require.LessOrEqual(t, len(d.head), 4*headSize)
				}
			}
			w.drain()
		})
	}
	require.Greater(t, fills, 250, "the index was hardly read")
}

func TestScheduleHoldsDestinationsNotMessages(t *testing.T) {
	s := newSchedule()
	for i := range 100_000 {
		s.add("crowd", entry{int64(1000 + i%977), engine.BlobID(i + 1), 0}, 0)
	}
	require.Len(t, s.destinations, 1)
	require.LessOrEqual(t, cap(s.destinations["crowd"].head), 4*headSize)
}
