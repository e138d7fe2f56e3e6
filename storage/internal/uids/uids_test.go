package uids

import (
	"math"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
)

// has is what a set means, by the letter (RFC 9051 §9, seq-range).
func has(set imap.UIDSet, last, uid uint32) bool {
	for _, r := range set {
		a, b := uint32(r.Start), uint32(r.Stop)
		if a == 0 {
			a = last
		}
		if b == 0 {
			b = last
		}
		if min(a, b) <= uid && uid <= max(a, b) {
			return true
		}
	}
	return false
}

func FuzzNormal(f *testing.F) {
	f.Add([]byte{1, 5, 3, 9, 20, 0, 0, 0}, byte(12))
	f.Add([]byte{9, 1, 255, 255, 2, 2}, byte(0))
	f.Fuzz(func(t *testing.T, pairs []byte, last byte) {
		var set imap.UIDSet
		for i := 0; i+1 < len(pairs); i += 2 {
			set = append(set, imap.UIDRange{Start: imap.UID(pairs[i]), Stop: imap.UID(pairs[i+1])})
		}
		r := Normal(set, imap.UID(last))
		for i, x := range r {
			require.True(t, 0 < x.Start && x.Start <= x.Stop)
			require.True(t, i == 0 || r[i-1].Stop+1 < x.Start, "%v", r)
		}
		for first := uint32(1); first < 300; first += 16 {
			meets := false
			for uid := first; uid < first+16; uid++ {
				meets = meets || has(set, uint32(last), uid)
			}
			require.Equal(t, meets, r.Walk().Meets(imap.UID(first), imap.UID(first+15)))
		}
		walk := r.Walk()
		var back imap.UIDSet
		for uid := uint32(1); uid < 300; uid++ {
			in := walk.Has(imap.UID(uid))
			require.Equal(t, has(set, uint32(last), uid), in, "%v has %d, last %d", set, uid, last)
			if in {
				back = Append(back, imap.UID(uid))
			}
		}
		require.True(t, walk.Ended())
		require.Equal(t, []imap.UIDRange(r), append([]imap.UIDRange{}, back...))
	})
}

func TestI08RangesUpToTheLastUID(t *testing.T) {
	r := Normal(imap.UIDSet{{Start: math.MaxUint32, Stop: 1}, {Start: math.MaxUint32, Stop: math.MaxUint32}}, 7)
	require.Equal(t, Ranges{{Start: 1, Stop: math.MaxUint32}}, r)
	require.Empty(t, Normal(imap.UIDSet{{Start: 0, Stop: 0}}, 0), "'*' of an empty mailbox")
	many := make(imap.UIDSet, 100_000)
	for i := range many {
		many[i] = imap.UIDRange{Start: 1, Stop: 1}
	}
	require.Equal(t, Ranges{{Start: 1, Stop: 1}}, Normal(many, 1))
}

func TestCountIsBounded(t *testing.T) {
	set := Normal(imap.UIDSet{{Start: 3, Stop: 5}, {Start: 5, Stop: 6}, {Start: 9, Stop: 9}}, 9)
	require.Equal(t, 5, set.Count(100))
	require.Equal(t, 4, set.Count(4))
	require.Equal(t, 7, Normal(imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}, 9).Count(7))
	require.Zero(t, Ranges(nil).Count(7))
}
