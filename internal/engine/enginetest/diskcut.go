package enginetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// sector is how many octets a disk writes whole or not at all.
const sector = 512

// Cut returns the disk as it may be after its power was cut at this moment:
// what was synced is there; of the writes and changes of names that were not,
// each is there with a probability of so many percent, whatever became of
// those before it. Of a write that is there perhaps only the beginning is, or
// some sectors, or nothing but the length that it gave to the file. Everything
// that is there is synced. At 0 percent rng may be nil.
func (d *Disk) Cut(percent int, rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := cut{percent: percent, rng: rng, done: make(map[*node]*node)}
	return &Disk{root: c.node(d.root)}
}

// Copy returns the disk as the next process finds it when this one is killed:
// everything is there, and what was not synced still is not.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := copying(make(map[*node]*node))
	return &Disk{root: c.node(d.root)}
}

// cut is what becomes of nodes in a power cut.
type cut struct {
	percent int
	rng     *rand.Rand
	done    map[*node]*node // a file can have two names
}

func (c *cut) kept() bool { return c.percent > 0 && c.rng.IntN(100) < c.percent }

func (c *cut) node(n *node) *node {
	if left := c.done[n]; left != nil {
		return left
	}
	left := &node{dir: n.dir}
	c.done[n] = left
	if !n.dir {
		left.synced = slices.Clone(n.synced)
		for _, w := range n.writes {
			if c.kept() {
				left.synced = c.write(left.synced, w)
			}
		}
		left.data = slices.Clone(left.synced)
		return left
	}
	left.syncedNames = maps.Clone(n.syncedNames)
	for _, change := range n.changes {
		if c.kept() {
			change.apply(left.syncedNames)
		}
	}
	left.names = make(map[string]*node)
	for _, name := range slices.Sorted(maps.Keys(left.syncedNames)) {
		left.names[name] = c.node(left.syncedNames[name])
	}
	left.syncedNames = maps.Clone(left.names)
	return left
}

// write returns a file after a write of which all or something is there.
func (c *cut) write(data []byte, w write) []byte {
	if w.cut || len(w.octets) == 0 || c.percent == 100 || c.rng.IntN(2) == 0 {
		return w.apply(data)
	}
	part := c.rng.IntN(len(w.octets))
	switch c.rng.IntN(3) {
	case 0: // the beginning
		return write{off: w.off, octets: w.octets[:part]}.apply(data)
	case 1: // the length
		end := w.off + int64(len(w.octets))
		return append(data, make([]byte, max(0, end-int64(len(data))))...)
	}
	for at := int64(0); at < int64(len(w.octets)); {
		next := min(int64(len(w.octets)), at+sector-(w.off+at)%sector)
		if c.rng.IntN(2) == 0 {
			data = write{off: w.off + at, octets: w.octets[at:next]}.apply(data)
		}
		at = next
	}
	return data
}

// copying makes copies of nodes, each one once.
type copying map[*node]*node

func (c copying) node(n *node) *node {
	if n == nil || c[n] != nil {
		return c[n]
	}
	to := &node{dir: n.dir, data: slices.Clone(n.data), synced: slices.Clone(n.synced), writes: slices.Clone(n.writes)}
	c[n] = to
	if n.dir {
		to.names, to.syncedNames = c.names(n.names), c.names(n.syncedNames)
	}
	for _, change := range n.changes {
		change.node = c.node(change.node)
		to.changes = append(to.changes, change)
	}
	return to
}

func (c copying) names(names map[string]*node) map[string]*node {
	to := make(map[string]*node, len(names))
	for name, n := range names {
		to[name] = c.node(n)
	}
	return to
}

// Crash returns what one of the ends that a process can come to leaves: it is
// killed, or the power is cut and none, some or all of what was not synced is
// there.
func (d *Disk) Crash(rng *rand.Rand) *Disk {
	switch rng.IntN(3) {
	case 0:
		return d.Copy()
	case 1:
		return d.Cut(0, nil)
	}
	return d.Cut([]int{5, 50, 95, 100}[rng.IntN(4)], rng)
}

// Ahead calls f once, ahead of the n-th step from now on. It replaces Before.
func (d *Disk) Ahead(n int64, f func()) {
	var left atomic.Int64
	left.Store(n)
	d.Before = func(Step) error {
		if left.Add(-1) == 0 {
			f()
		}
		return nil
	}
}
