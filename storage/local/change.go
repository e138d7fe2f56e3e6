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
	s *Store
	o *op
}

// commit makes one change. What build returns besides errNothing is returned.
func (s *Store) commit(ctx context.Context, body message.Body, build func(tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	c := s.change(body, build)
	return failure(s.counting(ctx, func() error { return s.e.Commit(ctx, c) }))
}

// change wires a change into the committer.
func (s *Store) change(body message.Body, build func(tx) error) *engine.Change {
	o := new(op)
	return &engine.Change{
		Body: body,
		Build: func(etx *engine.Tx) error {
			s.pending.begin(o)
			err := build(tx{etx, s, o})
			if o.uncounted != nil {
				err = o.takeUncounted()
			}
			if err != nil {
				s.pending.undo(o)
			}
			return err
		},
		Undo: func() { s.pending.undo(o) },
		Done: func() { s.done(o) },
	}
}

// done publishes a change that is durable.
func (s *Store) done(o *op) {
	s.pending.done(o)
	s.mu.Lock()
	for _, c := range o.boxes {
		if c.gone {
			s.states.remove(c.id)
		} else {
			s.states.put(c.id, c.after)
		}
	}
	s.mu.Unlock()
	for _, t := range o.trees {
		s.users.remove(t.user)
	}
	for _, c := range o.boxes {
		s.tables.changed(c)
		if c.tail != nil {
			s.tails.put(c.id, tail{c.after.modSeq, c.tail})
		}
	}
	s.watch.tell(o)
}

// state returns a mailbox's state as everybody may see it.
func (s *Store) state(id storage.MailboxID) (state, error) {
	s.mu.RLock()
	st, ok := s.states.peek(id)
	s.mu.RUnlock()
	if ok {
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
	if c := t.s.pending.latest(id); c != nil {
		if c.gone {
			return state{}, storage.ErrNoMailbox
		}
		return c.after, nil
	}
	if st, ok := t.s.states.peek(id); ok { // the committer needs no lock to read
		return st, nil
	}
	st, err := t.s.loadState(id)
	if err != nil {
		return state{}, err
	}
	t.s.mu.Lock()
	t.s.states.put(id, st)
	t.s.mu.Unlock()
	return st, nil
}

// put records a change of a mailbox.
func (t tx) put(c *boxChange) {
	t.s.value = c.after.append(t.s.value[:0])
	t.Set(stateKey(c.id), t.s.value)
	t.s.pending.change(t.o, c)
}

// table returns a mailbox's table as the changes built so far leave it, or nil
// when it is not in memory.
func (t tx) table(id storage.MailboxID) *table {
	return t.tableAfter(id, t.s.pending.latest(id))
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
