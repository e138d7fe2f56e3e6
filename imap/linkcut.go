package imap

// linkCut is a forest whose trees can be joined and cut, and that tells the
// root of a node, each in logarithmic time on average, however deep the trees
// (the link-cut trees of Sleator and Tarjan: each path of the forest is kept as
// a splay tree by depth).
type linkCut []linkNode

// linkNode is a node. -1 is none.
type linkNode struct {
	up   int32    // the parent in the splay tree, or the node that the path hangs on
	down [2]int32 // what is above and below on the path
}

func (f *linkCut) add() (n int32) {
	*f = append(*f, linkNode{-1, [2]int32{-1, -1}})
	return int32(len(*f) - 1)
}

// link makes the root n a child of p, which is in another tree.
func (f linkCut) link(n, p int32) {
	f.access(n)
	f[n].up = p
}

// cut takes n from its parent.
func (f linkCut) cut(n int32) {
	f.access(n)
	if above := f[n].down[0]; above >= 0 {
		f[above].up = -1
		f[n].down[0] = -1
	}
}

// root returns the root of n.
func (f linkCut) root(n int32) int32 {
	f.access(n)
	for f[n].down[0] >= 0 {
		n = f[n].down[0]
	}
	f.splay(n)
	return n
}

// access makes the path from the root to n one splay tree with n at its top.
func (f linkCut) access(n int32) {
	below := int32(-1)
	for m := n; m >= 0; m = f[m].up {
		f.splay(m)
		f[m].down[1] = below
		below = m
	}
	f.splay(n)
}

// side returns on which side of its splay parent n is; 2: it is a top.
func (f linkCut) side(n int32) int {
	p := f[n].up
	switch {
	case p < 0:
	case f[p].down[0] == n:
		return 0
	case f[p].down[1] == n:
		return 1
	}
	return 2
}

func (f linkCut) rotate(n int32) {
	p, side := f[n].up, f.side(n)
	upper := f.side(p)
	top := f[p].up
	inner := f[n].down[1-side]
	f[p].down[side] = inner
	if inner >= 0 {
		f[inner].up = p
	}
	f[n].down[1-side] = p
	f[p].up, f[n].up = n, top
	if upper < 2 {
		f[top].down[upper] = n
	}
}

func (f linkCut) splay(n int32) {
	for f.side(n) < 2 {
		if p := f[n].up; f.side(p) < 2 {
			if f.side(p) == f.side(n) {
				f.rotate(p)
			} else {
				f.rotate(n)
			}
		}
		f.rotate(n)
	}
}
