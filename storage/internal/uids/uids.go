// Package uids walks sets of UIDs without ever counting through them: a set
// such as 1:4294967295 costs what the mailbox holds, not what it names.
package uids

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// Ranges is a set in normal form: ascending ranges that neither overlap nor
// touch, without '*'.
type Ranges []imap.UIDRange

// Normal brings set into normal form. last is what '*' means: the highest UID
// of the mailbox, or 0 when it is empty.
func Normal(set imap.UIDSet, last imap.UID) Ranges {
	r := make(Ranges, 0, len(set))
	for _, x := range set {
		if x.Start == 0 {
			x.Start = last
		}
		if x.Stop == 0 {
			x.Stop = last
		}
		if x.Start > x.Stop {
			x.Start, x.Stop = x.Stop, x.Start
		}
		if x.Stop > 0 {
			x.Start = max(x.Start, 1)
			r = append(r, x)
		}
	}
	if !slices.IsSortedFunc(r, order) {
		slices.SortFunc(r, order)
	}
	return merge(r)
}

func order(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) }

func merge(r Ranges) Ranges {
	n := 0
	for _, x := range r {
		if n > 0 && uint64(x.Start) <= uint64(r[n-1].Stop)+1 {
			r[n-1].Stop = max(r[n-1].Stop, x.Stop)
			continue
		}
		r[n] = x
		n++
	}
	return r[:n]
}

// Count returns how many UIDs are in the set, most at most.
func (r Ranges) Count(most int) int {
	n := uint64(0)
	for _, x := range r {
		n += uint64(x.Stop-x.Start) + 1
	}
	return int(min(n, uint64(most)))
}

// Walker tells for ascending UIDs whether they are in a set.
type Walker struct{ rest Ranges }

// Walk begins a walk.
func (r Ranges) Walk() *Walker { return &Walker{r} }

// Has reports whether uid, which is not below any asked for before, is in the
// set.
func (w *Walker) Has(uid imap.UID) bool {
	for len(w.rest) > 0 && w.rest[0].Stop < uid {
		w.rest = w.rest[1:]
	}
	return len(w.rest) > 0 && w.rest[0].Start <= uid
}

// Meets reports whether any UID from first to last is in the set; first is not
// below any asked for before.
func (w *Walker) Meets(first, last imap.UID) bool {
	w.Has(first)
	return len(w.rest) > 0 && w.rest[0].Start <= last
}

// Ended reports whether no UID above those asked for is in the set.
func (w *Walker) Ended() bool { return len(w.rest) == 0 }

// Append adds uid, which is above all others, to a set.
func Append(set imap.UIDSet, uid imap.UID) imap.UIDSet {
	if n := len(set); n > 0 && set[n-1].Stop+1 == uid {
		set[n-1].Stop = uid
		return set
	}
	return append(set, imap.UIDRange{Start: uid, Stop: uid})
}
