// Package lru is a map of bounded size.
package lru

import "iter"

// Map is a map of bounded size: the entry that was not used for the longest
// time makes room. Of 1,024 entries or more that is nearly so: an entry stays
// while fewer than three quarters of the size are put or used after it. Its
// entries lie in one slice, so that many of them cost the garbage collector
// little. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	size  int
	index map[K]int32
	slots []slot[K, V] // the first is the ends of the list, not an entry
	free  int32        // the first of the slots that were given back; 0: none
	links uint64       // how often a slot became the latest one
	slack uint64       // how many may become so after an entry that is used and need not be moved
}

// slot is an entry in a list in the order of use. Of a free slot next is the
// next free one.
type slot[K comparable, V any] struct {
	key        K
	value      V
	prev, next int32
	linked     uint64 // Map.links when it became the latest one
}

// New returns a Map for so many entries, 1 at least and 2^31-2 at most.
func New[K comparable, V any](size int) *Map[K, V] {
	m := &Map[K, V]{size: min(max(size, 1), 1<<31-2), index: make(map[K]int32), slots: make([]slot[K, V], 1)}
	if m.size >= 1024 {
		m.slack = uint64(m.size / 4)
	}
	return m
}

// Get returns a value and counts as its use.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	i, ok := m.index[key]
	if !ok {
		return value, false
	}
	m.use(i)
	return m.slots[i].value, true
}

// Put sets a value, and counts as its use.
func (m *Map[K, V]) Put(key K, value V) {
	if i, ok := m.index[key]; ok {
		m.slots[i].value = value
		m.use(i)
		return
	}
	if len(m.index) >= m.size {
		m.Remove(m.slots[m.slots[0].prev].key)
	}
	i := m.free
	if i == 0 {
		i = int32(len(m.slots))
		m.slots = append(m.slots, slot[K, V]{})
	} else {
		m.free = m.slots[i].next
	}
	m.slots[i].key, m.slots[i].value = key, value
	m.index[key] = i
	m.link(i)
}

// Remove removes an entry, if it is there.
func (m *Map[K, V]) Remove(key K) {
	i, ok := m.index[key]
	if !ok {
		return
	}
	delete(m.index, key)
	m.unlink(i)
	m.slots[i] = slot[K, V]{next: m.free} // keeps nothing alive
	m.free = i
}

// RemoveIf removes every entry whose value fits.
func (m *Map[K, V]) RemoveIf(fits func(V) bool) {
	for key, value := range m.All() {
		if fits(value) {
			m.Remove(key)
		}
	}
}

// Clear removes all entries and gives their memory back.
func (m *Map[K, V]) Clear() { *m = *New[K, V](m.size) }

// Len returns how many entries there are.
func (m *Map[K, V]) Len() int { return len(m.index) }

// All yields the entries, the latest used first, without counting as a use.
// The entry that was yielded may be removed meanwhile; nothing else may change.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := m.slots[0].next; i != 0; {
			s := m.slots[i]
			if !yield(s.key, s.value) {
				return
			}
			i = s.next
		}
	}
}

// use makes a slot the latest one, unless it is among the latest anyway:
// moving it means to write to four others.
func (m *Map[K, V]) use(i int32) {
	if m.slots[0].next != i && m.links-m.slots[i].linked >= m.slack {
		m.unlink(i)
		m.link(i)
	}
}

func (m *Map[K, V]) link(i int32) {
	first := m.slots[0].next
	m.slots[i].prev, m.slots[i].next = 0, first
	m.slots[first].prev = i
	m.slots[0].next = i
	m.links++
	m.slots[i].linked = m.links
}

func (m *Map[K, V]) unlink(i int32) {
	prev, next := m.slots[i].prev, m.slots[i].next
	m.slots[prev].next = next
	m.slots[next].prev = prev
}
