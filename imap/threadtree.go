package imap

import (
	"cmp"
	"context"
	"slices"
)

// dates notes of each message when it was sent, and calls subject with its
// collated base subject and whether it is a reply or forward.
func (r *searchRun) dates(ctx context.Context, f *threads, subject func(n int32, base string, reply bool)) error {
	c := &candidate{run: r, view: r.view}
	defer c.forget()
	for n := range f.nodes {
		if n%pauseEvery == 0 {
			if err := r.pause(ctx, n, len(f.nodes)); err != nil {
				return err
			}
		}
		node := &f.nodes[n]
		if node.at == none {
			continue
		}
		c.take(int(node.at))
		h, err := c.heading(ctx)
		if err != nil {
			if err = r.passOver(ctx, c, err); err != nil {
				return err
			}
			h = heading{}
		}
		node.date = c.sentDate(&h)
		base, reply := baseSubject(h.subject)
		subject(int32(n), collated(base), reply)
	}
	return nil
}

// orderedSubject makes a thread of all messages with one base subject: the
// first of them by date has the others below it.
func orderedSubject(ctx context.Context, r *searchRun, found []int) (f *threads, roots []int32, err error) {
	f = &threads{}
	for _, i := range found {
		f.add(int32(i))
	}
	groups := make(map[string][]int32)
	err = r.dates(ctx, f, func(n int32, base string, _ bool) { groups[base] = append(groups[base], n) })
	if err != nil {
		return nil, nil, err
	}
	for _, group := range groups {
		f.sort(group)
		for _, n := range group[1:] {
			f.append(group[0], n)
		}
		roots = append(roots, group[0])
	}
	f.sort(roots)
	return f, roots, nil
}

// sort brings siblings into the order of their dates; of those with the same
// date the one with the lower sequence number comes first. Dummies stand where
// their first child would.
func (f *threads) sort(siblings []int32) {
	slices.SortFunc(siblings, func(a, b int32) int {
		x, y := f.stand(a), f.stand(b)
		return cmp.Or(cmp.Compare(x.date, y.date), cmp.Compare(x.at, y.at))
	})
}

// stand returns the node that says where n stands among its siblings.
func (f *threads) stand(n int32) *threadNode {
	if node := &f.nodes[n]; node.at != none || node.first == none {
		return node
	}
	return &f.nodes[f.nodes[n].first]
}

// sortChildren sorts the children of n.
func (f *threads) sortChildren(n int32) {
	node := &f.nodes[n]
	if node.first == node.last {
		return
	}
	var list []int32
	for c := node.first; c != none; c = f.nodes[c].next {
		list = append(list, c)
	}
	f.sort(list)
	node.first, node.last = none, none
	for _, c := range list {
		f.append(n, c)
	}
}

// prune removes dummies (RFC 5256 §3, REFERENCES, step 3): their children take
// their places, but at the top only one alone does. order lists all nodes, children
// before their parents; parent tells of each its parent.
func (f *threads) prune(order, parent []int32) (roots []int32) {
	for _, n := range order {
		node, top := &f.nodes[n], parent[n] == none
		switch {
		case node.at != none || top && node.first != node.last:
		case !top: // its children, pruned already, go to its parent
			f.adopt(parent[n], n)
			continue
		case node.first == none:
			continue
		default:
			n = node.first
			f.nodes[n].next = none
		}
		if top {
			roots = append(roots, n)
		} else {
			f.append(parent[n], n)
		}
	}
	return roots
}

// subjects are the base subjects that threads go by.
type subjects struct {
	of    []string // collated, by node; of messages
	reply []bool
}

// thread returns the node whose subject is that of the thread below root.
func (f *threads) thread(root int32) int32 {
	if f.isDummy(root) {
		return f.nodes[root].first
	}
	return root
}

// groupBySubject joins threads that have one base subject (step 5).
func (f *threads) groupBySubject(roots []int32, s subjects) []int32 {
	table := make(map[string]int32)
	for _, n := range roots {
		text := s.of[f.thread(n)]
		old, ok := table[text]
		switch {
		case text == "":
		case !ok, !f.isDummy(old) && (f.isDummy(n) || s.reply[old] && !s.reply[n]):
			table[text] = n
		}
	}
	gone := make(map[int32]bool)
	var made []int32
	for _, n := range roots {
		text := s.of[f.thread(n)]
		old := table[text]
		if text == "" || old == n {
			continue
		}
		gone[n] = true
		switch {
		case f.isDummy(old) && f.isDummy(n):
			f.adopt(old, n)
		case f.isDummy(old), s.reply[n] && !s.reply[old]:
			f.append(old, n)
		default:
			dummy := f.add(none)
			f.append(dummy, old)
			f.append(dummy, n)
			gone[old] = true
			made = append(made, dummy)
			table[text] = dummy
		}
	}
	return slices.DeleteFunc(append(roots, made...), func(n int32) bool { return gone[n] })
}
