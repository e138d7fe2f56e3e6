package lexicon

import (
	"iter"
	"math/bits"
)

// Set is a set of UIDs of a range, with a bit for each.
type Set struct {
	first uint32
	words []uint64
}

// NewSet makes an empty set for UIDs from first to last.
func NewSet(first, last uint32) *Set {
	return &Set{first, make([]uint64, (uint64(last)-uint64(first))/64+1)}
}

// Add adds a UID of the range.
func (s *Set) Add(uid uint32) { s.set(uid - s.first) }

// All yields the UIDs in ascending order.
func (s *Set) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, w := range s.words {
			for ; w != 0; w &= w - 1 {
				if !yield(s.first + uint32(i*64+bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// set and has count from the first UID.
func (s *Set) set(n uint32)      { s.words[n/64] |= 1 << (n % 64) }
func (s *Set) has(n uint32) bool { return s.words[n/64]&(1<<(n%64)) != 0 }

// meet keeps what is in both sets, which are of one range.
func (s *Set) meet(other *Set) {
	for i := range s.words {
		s.words[i] &= other.words[i]
	}
}
