package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// errNothing is returned by a Build that finds nothing to change.
var errNothing = errors.New("nothing to change")

// tx is a change while it is being built.
type tx struct {
	*engine.Tx
	s     *Store
	o     *op
	owner string // the user whose mailboxes it changes now
}

// now is when the change is built, in seconds since 1970.
func (t tx) now() int64 {
	if t.o.now == 0 {
		t.o.now = t.s.options.Now().Unix()
	}
	return t.o.now
}

// commit makes one change. What build returns besides errNothing is returned.
func (s *Store) commit(ctx context.Context, body message.Body, build func(tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	c := s.change(body, build)
	return failure(s.counting(ctx, func() error { return s.e.Commit(ctx, c) }))
}

// commit makes one change of the account's mailboxes.
func (a *account) commit(ctx context.Context, body message.Body, build func(tx) error) error {
	return a.s.commit(ctx, body, func(t tx) error {
		if err := a.s.thawed(a.user); err != nil {
			return err
		}
		t.owner = a.user
		return build(t)
	})
}

// change wires a change into the committer.
func (s *Store) change(body message.Body, build func(tx) error) *engine.Change {
	o := new(op)
	return &engine.Change{
		Body: body,
		Build: func(etx *engine.Tx) error {
			s.begin(o)
			t := tx{Tx: etx, s: s, o: o}
			err := build(t)
			if o.uncounted != nil {
				err = o.takeUncounted()
			}
			if err != nil {
				s.pending.undo(o)
				return err
			}
			t.finish()
			return nil
		},
		Undo: func() { s.pending.undo(o) },
		Done: func() { s.done(o) },
	}
}

// begin begins to build a change. When nothing is pending, this is the moment
// to forget mailboxes.
func (s *Store) begin(o *op) {
	if len(s.pending.ops) == 0 && s.lives.full() {
		s.mu.Lock()
		s.lives.age()
		s.mu.Unlock()
		s.latest = nil
	}
	s.pending.begin(o)
}

// done publishes a change that is durable. Rows come before the ModSeq: who
// asks for that first, and then for what changed, must not miss a change.
func (s *Store) done(o *op) {
	s.pending.done(o)
	s.tables.changed(o.boxes)
	s.mu.Lock()
	for _, c := range o.boxes {
		if c.gone {
			s.lives.remove(c.id)
		} else {
			c.live.state = c.after
		}
	}
	s.mu.Unlock()
	s.latest = nil
	for _, t := range o.trees {
		s.users.remove(t.user)
	}
	for _, c := range o.boxes {
		if c.tail.rows != nil {
			s.tails.keep(c.live, c.tail, c.after.modSeq)
		}
	}
	if o.thawed != "" {
		s.frozen.remove(o.thawed)
	}
	s.watch.tell(o)
}

// state returns a mailbox's state as everybody may see it.
func (s *Store) state(id storage.MailboxID) (state, error) {
	var st state
	s.mu.RLock()
	if l, ok := s.lives.peek(id); ok {
		st = l.state
	}
	s.mu.RUnlock()
	if st.next > 0 {
		return st, nil
	}
	return s.loadState(id)
}

func (s *Store) loadState(id storage.MailboxID) (state, error) {
	return getState(s.e, id)
}

// getter is the engine, or a snapshot of it.
type getter interface {
	Get(key []byte) ([]byte, bool, error)
}

func getState(g getter, id storage.MailboxID) (state, error) {
	b, ok, err := g.Get(stateKey(id))
	if err != nil {
		return state{}, failure(err)
	}
	if !ok {
		return state{}, storage.ErrNoMailbox
	}
	st, err := parseState(b)
	if err != nil {
		return state{}, fmt.Errorf("state of mailbox %d: %w", id, err)
	}
	return st, nil
}

// state returns a mailbox's state as the changes built so far leave it.
func (t tx) state(id storage.MailboxID) (state, error) {
	l := t.s.live(id)
	switch {
	case l.last != nil && l.last.gone:
		return state{}, storage.ErrNoMailbox
	case l.last != nil:
		return l.last.after, nil
	case l.state.next > 0: // the committer needs no lock to read
		return l.state, nil
	}
	st, err := t.s.loadState(id)
	if err != nil {
		return state{}, err
	}
	t.s.mu.Lock()
	l.state = st
	t.s.mu.Unlock()
	return st, nil
}

// put records a change of a mailbox. Its state is written by finish.
func (t tx) put(c *boxChange) {
	c.owner = t.owner
	t.s.pending.change(t.o, t.s.live(c.id), c)
}

// finish ends a change: it writes the states of the mailboxes, those of all
// together, since the index takes keys that are near one another faster.
func (t tx) finish() {
	for _, c := range t.o.boxes {
		if c.gone || c.live.last != c {
			continue
		}
		t.s.key = appendNumberKey(t.s.key[:0], keyState, uint64(c.id))
		t.s.value = c.after.append(t.s.value[:0])
		t.Set(t.s.key, t.s.value)
	}
}

// table returns a mailbox's table as the changes built so far leave it, or nil
// when it is not in memory.
func (t tx) table(id storage.MailboxID) *table {
	return t.tableAfter(id, t.s.live(id).last)
}

func (t tx) tableAfter(id storage.MailboxID, c *boxChange) *table {
	if c == nil {
		return t.s.tables.newest(id)
	}
	var since []*boxChange // pending changes after the newest table, backwards
	for c != nil && c.table == nil {
		since = append(since, c)
		c = c.earlier()
	}
	now := (*table)(nil)
	if c != nil {
		now = c.table
	} else {
		now = t.s.tables.newest(id)
	}
	for _, c := range slices.Backward(since) {
		if now == nil {
			break
		}
		now = now.with(c.added, c.after.modSeq)
		c.table = now
	}
	return now
}
