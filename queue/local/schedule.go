package local

import (
	"container/heap"
	"container/list"
	"math"
	"slices"
)

// schedule knows, in memory, which destination's turn it is and which
// recipients are claimed. It holds one destination for each that waits, never
// a message. It has no lock and no clock of its own: the Queue holds its lock
// and passes the time.
//
// A destination that has something due stands in the ring and takes turns
// there; one that will have stands in the heap, by time; one at its limit or
// being read from the index stands in neither.
type schedule struct {
	destinations map[string]*destination
	later        laterHeap
	ring         list.List // of *destination
	limit        int       // of claims per destination; 0: none
	claimed      map[name]*lease
	leases       map[uint64]*lease
	ending       endingHeap
	lastLease    uint64
}

func newSchedule() *schedule {
	return &schedule{
		destinations: make(map[string]*destination),
		claimed:      make(map[name]*lease),
		leases:       make(map[uint64]*lease),
	}
}

// lease is a claim that is held, or recipients that are being changed.
type lease struct {
	id      uint64
	d       *destination
	entries []entry
	until   int64
	counts  bool // as a claim of its destination
	place   int  // in the heap of those that end; -1: it can't end by itself
	claim   *claim
}

// destination returns what is known of a destination; unknown ones are made,
// with nothing waiting.
func (s *schedule) destination(name string) *destination {
	d := s.destinations[name]
	if d == nil {
		d = &destination{name: name, horizon: end, place: -1}
		s.destinations[name] = d
	}
	return d
}

// settlePlace puts d where it belongs after any change of it.
func (s *schedule) settlePlace(d *destination, now int64) {
	due, ok := d.due()
	ok = ok && d.filling == nil && (s.limit == 0 || d.claims < s.limit)
	if ready := ok && due <= now; ready && d.turn == nil {
		d.turn = s.ring.PushBack(d)
	} else if !ready && d.turn != nil {
		s.ring.Remove(d.turn)
		d.turn = nil
	}
	switch wait := ok && due > now; {
	case wait && d.place < 0:
		heap.Push(&s.later, d)
	case wait:
		heap.Fix(&s.later, d.place)
	case d.place >= 0:
		heap.Remove(&s.later, d.place)
	}
	if d.idle() {
		delete(s.destinations, d.name)
	}
}

// advance moves what has become due into the ring and ends leases. It returns
// the leases that ended.
func (s *schedule) advance(now int64) (ended []*lease) {
	for len(s.ending) > 0 && s.ending[0].until <= now {
		l := s.ending[0]
		s.restore(l, now)
		ended = append(ended, l)
	}
	for len(s.later) > 0 {
		if due, _ := s.later[0].due(); due > now {
			break
		}
		s.settlePlace(s.later[0], now)
	}
	return ended
}

// add makes a recipient known that is in the index. It is called after the
// index has it, and may be called for one that a reader of the index has
// already found.
func (s *schedule) add(destination string, e entry, now int64) {
	if s.claimed[e.name()] != nil {
		return
	}
	d := s.destination(destination)
	d.add(e)
	s.settlePlace(d, now)
}

// take leases up to n groups in turn. The destinations of fill have to be
// read from the index before more can be taken of them, see fill; together
// the two are not more than n.
func (s *schedule) take(n int, now, until int64) (leases []*lease, fill []*destination) {
	for len(leases)+len(fill) < n && s.ring.Len() > 0 {
		d := s.ring.Front().Value.(*destination)
		if len(d.head) == 0 {
			d.filling = &filling{removed: make(map[entry]bool)}
			s.settlePlace(d, now)
			fill = append(fill, d)
			continue
		}
		s.ring.MoveToBack(d.turn)
		l := s.lease(d, d.take(), until)
		l.counts = true
		d.claims++
		leases = append(leases, l)
		s.settlePlace(d, now)
	}
	return leases, fill
}

// lease makes entries claimed. An until of zero never ends.
func (s *schedule) lease(d *destination, entries []entry, until int64) *lease {
	s.lastLease++
	l := &lease{id: s.lastLease, d: d, entries: entries, until: until, place: -1}
	d.leases++
	s.leases[l.id] = l
	for _, e := range entries {
		s.claimed[e.name()] = l
	}
	if until > 0 {
		heap.Push(&s.ending, l)
	}
	return l
}

// setLimit bounds the claims of every destination.
func (s *schedule) setLimit(limit int, now int64) {
	s.limit = limit
	for _, d := range s.destinations {
		s.settlePlace(d, now)
	}
}

// hold stops a lease from ending by itself while its outcome is written.
func (s *schedule) hold(l *lease) {
	if l.place >= 0 {
		heap.Remove(&s.ending, l.place)
	}
}

// unhold lets a held lease end by itself again.
func (s *schedule) unhold(l *lease) { heap.Push(&s.ending, l) }

// reserve takes waiting recipients out of their destination so that nobody
// claims them while they are changed; those that are claimed already are left
// out. The lease is nil when none remain; it does not count as a claim. When
// they are due, and whether they are there at all, is for the caller to find
// out, see refine.
func (s *schedule) reserve(destination string, names []name, now int64) *lease {
	free := make(map[name]bool, len(names))
	var entries []entry
	for _, n := range names {
		if s.claimed[n] == nil && !free[n] {
			free[n] = true
			entries = append(entries, entry{id: n.id, number: n.number})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	d := s.destination(destination)
	d.leave(free)
	l := s.lease(d, entries, 0)
	s.settlePlace(d, now)
	return l
}

// refine replaces the entries of a reserved lease by what they truly are;
// those that are not among them are free again.
func (s *schedule) refine(l *lease, entries []entry) {
	for _, e := range l.entries {
		delete(s.claimed, e.name())
	}
	l.entries = entries
	for _, e := range l.entries {
		s.claimed[e.name()] = l
	}
}

// move notes that a reserved entry is now due at another time, or gone from
// the index when due is negative.
func (s *schedule) move(l *lease, e entry, due int64) {
	l.d.gone(e)
	i := slices.Index(l.entries, e)
	if due >= 0 {
		l.entries[i].due = due
		return
	}
	l.entries = slices.Delete(l.entries, i, i+1)
	delete(s.claimed, e.name())
}

// end takes a lease away; its entries are then in the index at new, or gone
// from it where new has none.
func (s *schedule) end(l *lease, changed []entry, now int64) {
	s.forget(l)
	for _, e := range l.entries {
		l.d.gone(e)
	}
	for _, e := range changed {
		l.d.add(e)
	}
	s.settlePlace(l.d, now)
}

// restore takes a lease away; its entries wait again as before.
func (s *schedule) restore(l *lease, now int64) {
	s.forget(l)
	for _, e := range l.entries {
		l.d.add(e)
	}
	s.settlePlace(l.d, now)
}

func (s *schedule) forget(l *lease) {
	s.hold(l)
	delete(s.leases, l.id)
	for _, e := range l.entries {
		delete(s.claimed, e.name())
	}
	l.d.leases--
	if l.counts {
		l.d.claims--
	}
}

// unfill ends a reading that failed. The destination takes its turn after all
// others.
func (s *schedule) unfill(d *destination, now int64) {
	d.filling = nil
	s.settlePlace(d, now)
}

// fill ends the reading of a destination, whose turn it still is.
func (s *schedule) fill(d *destination, read []entry, horizon mark, now int64) {
	d.fill(read, horizon, func(e entry) bool { return s.claimed[e.name()] != nil })
	s.settlePlace(d, now)
	if d.turn != nil {
		s.ring.MoveToFront(d.turn)
	}
}

// next returns when something can be claimed or a lease ends; 0 means never.
func (s *schedule) next() int64 {
	if s.ring.Len() > 0 {
		due, _ := s.ring.Front().Value.(*destination).due()
		return max(due, 1)
	}
	first := int64(math.MaxInt64)
	if len(s.later) > 0 {
		first, _ = s.later[0].due()
	}
	if len(s.ending) > 0 {
		first = min(first, s.ending[0].until)
	}
	if first == math.MaxInt64 {
		return 0
	}
	return first
}
