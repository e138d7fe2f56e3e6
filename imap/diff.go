package imap

import "github.com/emersion/go-imap/v2"

// diff returns what a client is to be told that knows old when it is shown
// now. Both are of one mailbox: what they share costs nothing.
func diff(old, now *snapshot) (n news) {
	n.keyword = now.keywords.differ(&old.keywords)
	a, b := cursor{refs: old.refs}, cursor{refs: now.refs}
	for a.more() && b.more() {
		if a.skipShared(&b) {
			continue
		}
		x, y := a.entry(), b.entry()
		switch {
		case x.uid == y.uid:
			if x.modseq != y.modseq {
				n.changed = append(n.changed, changed{b.index(), flagsDiffer(old, now, x, y)})
			}
			a.next()
			b.next()
		case x.uid < y.uid:
			n.lose(a.index(), x.uid)
			a.next()
		default:
			n.arrived = true
			b.next()
		}
	}
	for ; a.more(); a.next() {
		n.lose(a.index(), a.entry().uid)
	}
	n.arrived = n.arrived || b.more()
	return n
}

// flagsDiffer compares the flags of x, of old, with those of y, of now.
func flagsDiffer(old, now *snapshot, x, y *entry) bool {
	if x.flags == y.flags && old.keywords.epoch == now.keywords.epoch {
		return false
	}
	return !old.flags(x).Equal(now.flags(y))
}

func (n *news) lose(i int, uid imap.UID) {
	n.gone = append(n.gone, i)
	if k := len(n.goneUID); k > 0 && n.goneUID[k-1].Stop+1 == uid {
		n.goneUID[k-1].Stop = uid
		return
	}
	n.goneUID = append(n.goneUID, imap.UIDRange{Start: uid, Stop: uid})
}

// cursor goes through the entries of a snapshot.
type cursor struct {
	refs []ref
	k    int // of the entry in the first of refs
}

func (c *cursor) more() bool    { return len(c.refs) > 0 }
func (c *cursor) entry() *entry { return &c.refs[0].entries[c.k] }
func (c *cursor) index() int    { return int(c.refs[0].start) + c.k }

func (c *cursor) next() {
	if c.k++; c.k == len(c.refs[0].entries) {
		c.refs, c.k = c.refs[1:], 0
	}
}

// seek goes on to a UID, and returns the entry if there is one.
func (c *cursor) seek(uid imap.UID) *entry {
	for len(c.refs) > 1 && c.refs[1].first <= uid {
		c.refs, c.k = c.refs[1:], 0
	}
	for c.more() && c.entry().uid < uid {
		c.next()
	}
	if !c.more() || c.entry().uid != uid {
		return nil
	}
	return c.entry()
}

// skipShared passes over chunks that both snapshots have where the cursors stand.
func (c *cursor) skipShared(d *cursor) bool {
	if c.k > 0 || d.k > 0 {
		return false
	}
	most, n := min(len(c.refs), len(d.refs)), 0
	for n < most && c.refs[n].chunk == d.refs[n].chunk {
		n++
	}
	c.refs, d.refs = c.refs[n:], d.refs[n:]
	return n > 0
}
