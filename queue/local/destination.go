package local

import (
	"container/list"
	"slices"
)

// headSize is about how many waiting recipients of a destination are kept in
// memory.
const headSize = 64

// destination is what memory knows of the waiting recipients of one
// destination: its earliest ones, and where in the index the others begin.
//
// Every waiting recipient before the horizon is in the head; those of one
// group stand on the same side of it. So a scan begins at the horizon and
// never walks over what was settled before it.
type destination struct {
	name    string
	head    []entry  // in order, none of them claimed
	horizon mark     // end: all that waits is in the head
	claims  int      // that are held
	leases  int      // that are held, those that are no claims too
	filling *filling // not nil: somebody reads the index from the horizon on

	place int           // in the heap of those that are due later; -1: not there
	turn  *list.Element // in the ring of those that are due; nil: not there
}

// filling collects what happens beyond the horizon while the index is read,
// since that reading may or may not have seen it.
type filling struct {
	added   []entry
	removed map[entry]bool
	useless bool // the horizon has moved back meanwhile
}

// due returns when the first may be due; ok is false when none waits.
func (d *destination) due() (due int64, ok bool) {
	if len(d.head) > 0 {
		return d.head[0].due, true
	}
	return d.horizon.due, d.horizon != end
}

// idle reports that nothing is left to know about d.
func (d *destination) idle() bool {
	return len(d.head) == 0 && d.horizon == end && d.leases == 0 && d.filling == nil
}

// add makes e, which is in the index and not claimed, known. It may be known
// already.
func (d *destination) add(e entry) {
	if d.filling != nil {
		delete(d.filling.removed, e)
	}
	if !e.before(d.horizon) {
		if d.filling != nil {
			d.filling.added = append(d.filling.added, e)
		}
		return
	}
	if n := len(d.head); n == 0 || d.head[n-1].compare(e) < 0 {
		d.head = append(d.head, e)
	} else if i, known := slices.BinarySearchFunc(d.head, e, entry.compare); !known {
		d.head = slices.Insert(d.head, i, e)
	}
	d.trim()
}

// trim forgets what the head holds too much of, whole groups of it.
func (d *destination) trim() {
	if len(d.head) <= 2*headSize {
		return
	}
	cut := headSize
	for cut < len(d.head) && d.head[cut].mark() == d.head[cut-1].mark() {
		cut++
	}
	if cut < len(d.head) {
		d.horizon = d.head[cut].mark()
		d.head = slices.Clone(d.head[:cut])
		if d.filling != nil {
			d.filling.useless = true
		}
	}
}

// leave takes recipients out of the head, those that are there.
func (d *destination) leave(names map[name]bool) {
	d.head = slices.DeleteFunc(d.head, func(e entry) bool { return names[e.name()] })
}

// gone notes that e is no longer in the index.
func (d *destination) gone(e entry) {
	if d.filling != nil {
		d.filling.removed[e] = true
	}
}

// take removes and returns the first group, which must be in the head.
func (d *destination) take() []entry {
	n := 1
	for n < len(d.head) && d.head[n].mark() == d.head[0].mark() {
		n++
	}
	group := slices.Clone(d.head[:n])
	d.head = d.head[n:]
	if len(d.head) == 0 {
		d.head = nil
	}
	return group
}

// fill ends a filling with what was read: the entries from the old horizon up
// to the new one.
func (d *destination) fill(read []entry, horizon mark, claimed func(entry) bool) {
	f := d.filling
	d.filling = nil
	if f.useless {
		return
	}
	d.horizon = horizon
	for _, e := range read {
		if !f.removed[e] && !claimed(e) {
			d.add(e)
		}
	}
	for _, e := range f.added {
		if !f.removed[e] && !claimed(e) {
			d.add(e)
		}
	}
}
