package imap

import "context"

// references links messages by the IDs that they refer to (RFC 5256 §3,
// REFERENCES, step 1). It holds about 100 octets for each message and for each
// ID of a message that is not there; of those it knows a bounded number.
type references struct {
	*threads
	parent []int32 // by node
	forest linkCut
	ids    map[messageID]int32
	room   int // for nodes of messages that are not there
}

// byReferences is THREAD=REFERENCES.
func byReferences(ctx context.Context, r *searchRun, found []int) (f *threads, roots []int32, err error) {
	f = &threads{}
	t := &references{threads: f, ids: make(map[messageID]int32, len(found)), room: 4*len(found) + 1<<16}
	if err := t.messages(ctx, r, found); err != nil {
		return nil, nil, err
	}
	s := subjects{of: make([]string, len(f.nodes)), reply: make([]bool, len(f.nodes))}
	err = r.dates(ctx, f, func(n int32, base string, reply bool) { s.of[n], s.reply[n] = base, reply })
	if err != nil {
		return nil, nil, err
	}
	roots = f.prune(t.childrenFirst(), t.parent)
	for _, n := range roots { // step 4: the first child of a dummy stands for it
		if f.isDummy(n) {
			f.sortChildren(n)
		}
	}
	f.sort(roots)
	roots = f.groupBySubject(roots, s)
	for n := range f.nodes { // step 6
		f.sortChildren(int32(n))
	}
	f.sort(roots)
	return f, roots, nil
}

// messages links one message after the other.
func (t *references) messages(ctx context.Context, r *searchRun, found []int) error {
	c := &candidate{run: r, view: r.view}
	defer c.forget()
	for k, i := range found {
		if k%pauseEvery == 0 {
			if err := r.pause(ctx, k, len(found)); err != nil {
				return err
			}
		}
		c.take(i)
		row, err := c.row(ctx, lineageRow)
		if err != nil {
			if err = r.passOver(ctx, c, err); err != nil {
				return err
			}
			row = "\x00"
		}
		t.message(int32(i), newLineage(row))
	}
	return nil
}

// message puts a message under the last of those that it refers to, whatever
// it was under before, and each of those under the one before, if it is under
// none yet. What would make a loop is left out.
func (t *references) message(i int32, l lineage) {
	last := none
	for id := range l.references() {
		ref := t.reference(id)
		if ref == none {
			continue
		}
		if last != none && t.parent[ref] == none {
			t.link(ref, last)
		}
		last = ref
	}
	n := t.own(i, l)
	if t.parent[n] != none {
		t.forest.cut(n)
		t.parent[n] = none
	}
	if last != none {
		t.link(n, last)
	}
}

// link puts n, which is under nothing, under p.
func (t *references) link(n, p int32) {
	if t.forest.root(p) != n {
		t.forest.link(n, p)
		t.parent[n] = p
	}
}

// own returns the node of a message. Of several with one ID the first has it.
func (t *references) own(i int32, l lineage) int32 {
	n, ok := t.ids[l.own]
	switch {
	case !l.has || ok && !t.isDummy(n):
		return t.grow(i)
	case !ok:
		n = t.grow(i)
		t.ids[l.own] = n
	}
	t.nodes[n].at = i
	return n
}

// reference returns the node of an ID that a message refers to.
func (t *references) reference(id messageID) int32 {
	n, ok := t.ids[id]
	switch {
	case ok:
		return n
	case t.room == 0:
		return none
	}
	t.room--
	n = t.grow(none)
	t.ids[id] = n
	return n
}

func (t *references) grow(at int32) int32 {
	t.parent = append(t.parent, none)
	t.forest.add()
	return t.add(at)
}

// childrenFirst lists all nodes, each behind its children.
func (t *references) childrenFirst() []int32 {
	children := make([]int32, len(t.parent))
	for _, p := range t.parent {
		if p != none {
			children[p]++
		}
	}
	order := make([]int32, 0, len(t.parent))
	for n, c := range children {
		if c == 0 {
			order = append(order, int32(n))
		}
	}
	for k := 0; k < len(order); k++ {
		if p := t.parent[order[k]]; p != none {
			if children[p]--; children[p] == 0 {
				order = append(order, p)
			}
		}
	}
	return order
}
