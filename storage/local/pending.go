package local

import (
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

// op is one change of the store on its way. The committer alone uses it.
type op struct {
	boxes []*boxChange
	trees []tree // whose names or subscriptions it changes
	spare []boxChange

	uncounted *uncounted // accounts of which it has to be found out first what they hold
	now       int64      // see tx.now
	thawed    string     // the account that is not frozen any more when it is made; empty: none
}

// newChange returns space for a change of a mailbox. Many changes share a block
// of memory.
func (o *op) newChange() *boxChange {
	if len(o.spare) == 0 {
		o.spare = make([]boxChange, min(max(1, len(o.boxes)), 64))
	}
	c := &o.spare[0]
	o.spare = o.spare[1:]
	return c
}

// tree names an account in both ways.
type tree struct {
	user string
	id   accountID
}

// boxChange is what an op does to one mailbox.
type boxChange struct {
	id    storage.MailboxID
	owner string // the user whose mailbox it is
	after state
	gone  bool          // deleted
	added []listed      // rows that it adds
	table *table        // with the change made; nil if it only adds rows and nobody asked
	tail  chunk         // the rows of the page that is not complete; none if nobody knows
	gain  storage.Quota // what its account holds more then

	one    [1]listed  // space for added
	live   *live      // the mailbox
	before *boxChange // the pending change of this mailbox that it was built on
	made   bool       // it is pending no more
}

// pending is the ops that were built and are not yet durable: what the next
// Build has to see, though nobody else may. When an op is not made after all,
// it and all that came after it are forgotten, since they were built on it.
type pending struct {
	ops   []*op
	trees map[string]int // users whose trees are changed, by how many ops
	held  *held          // is told of every change
}

func newPending(h *held) pending {
	return pending{trees: make(map[string]int), held: h}
}

func (p *pending) begin(o *op) { p.ops = append(p.ops, o) }

// earlier returns the pending change of the same mailbox before c.
func (c *boxChange) earlier() *boxChange {
	if c.before != nil && c.before.made {
		c.before = nil
	}
	return c.before
}

func (p *pending) change(o *op, l *live, c *boxChange) {
	c.live, c.before = l, l.last
	l.last = c
	o.boxes = append(o.boxes, c)
	p.held.built(c)
}

func (p *pending) changeTree(o *op, t tree) {
	if !slices.Contains(o.trees, t) {
		o.trees = append(o.trees, t)
		p.trees[t.user]++
	}
}

// undo forgets an op and all that came after it. One that is not there is
// forgotten already.
func (p *pending) undo(o *op) {
	at := slices.Index(p.ops, o)
	if at < 0 {
		return
	}
	for _, x := range slices.Backward(p.ops[at:]) {
		for _, c := range slices.Backward(x.boxes) {
			c.live.last = c.earlier()
		}
		p.held.undone(x)
		p.leaveTrees(x)
		x.boxes, x.trees, x.spare = nil, nil, nil
	}
	clear(p.ops[at:])
	p.ops = p.ops[:at]
}

// done takes the first op out.
func (p *pending) done(o *op) {
	for _, c := range o.boxes {
		c.made, c.before = true, nil
		if c.live.last == c {
			c.live.last = nil
		}
	}
	p.held.made(o)
	p.leaveTrees(o)
	p.ops[0] = nil
	p.ops = p.ops[1:]
}

func (p *pending) leaveTrees(o *op) {
	for _, t := range o.trees {
		if p.trees[t.user]--; p.trees[t.user] == 0 {
			delete(p.trees, t.user)
		}
	}
}
