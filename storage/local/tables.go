package local

import (
	"container/list"
	"context"
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// tables keeps the tables of mailboxes in use in memory, shared by all
// sessions, up to a number of rows. Those that a change needs are pinned.
type tables struct {
	load func(context.Context, storage.MailboxID) (*table, error) // as a snapshot of the index has it
	most int                                                      // rows

	mu      sync.Mutex
	entries map[storage.MailboxID]*tableEntry
	recent  list.List // of *tableEntry, the one used last in front
	rows    int
}

// tableEntry is a mailbox's newest table. While it is loading, the changes
// that are made wait in backlog, since the snapshot may not have them.
type tableEntry struct {
	id      storage.MailboxID
	table   *table // nil while it is loading
	loaded  chan struct{}
	backlog []addition
	pins    int
	element *list.Element
	rows    int // as counted in tables.rows
}

// addition is rows that a change added.
type addition struct {
	modSeq uint64
	rows   []listed
}

func newTables(most int, load func(context.Context, storage.MailboxID) (*table, error)) *tables {
	return &tables{load: load, most: most, entries: make(map[storage.MailboxID]*tableEntry)}
}

// get returns the newest table of a mailbox.
func (ts *tables) get(ctx context.Context, id storage.MailboxID) (*table, error) {
	t, release, err := ts.pin(ctx, id)
	if err == nil {
		release()
	}
	return t, err
}

// pin returns the newest table of a mailbox, and keeps it in memory until
// release is called.
func (ts *tables) pin(ctx context.Context, id storage.MailboxID) (t *table, release func(), err error) {
	for {
		ts.mu.Lock()
		e := ts.entries[id]
		switch {
		case e == nil:
			e = &tableEntry{id: id, loaded: make(chan struct{}), pins: 1}
			e.element = ts.recent.PushFront(e)
			ts.entries[id] = e
			ts.mu.Unlock()
			if t, err = ts.fill(ctx, e); err != nil {
				return nil, nil, err
			}
			return t, func() { ts.unpin(e) }, nil
		case e.table != nil:
			e.pins++
			ts.recent.MoveToFront(e.element)
			t = e.table
			ts.mu.Unlock()
			return t, func() { ts.unpin(e) }, nil
		}
		loaded := e.loaded
		ts.mu.Unlock()
		select {
		case <-loaded: // or not, if whoever loaded it failed
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// fill loads an entry that was just made.
func (ts *tables) fill(ctx context.Context, e *tableEntry) (*table, error) {
	t, err := ts.load(ctx, e.id)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	defer close(e.loaded)
	if err != nil {
		ts.drop(e)
		return nil, err
	}
	for _, a := range e.backlog {
		if a.modSeq > t.modSeq {
			t = t.with(a.rows, a.modSeq)
		}
	}
	e.table, e.backlog = t, nil
	ts.measure(e)
	return t, nil
}

func (ts *tables) unpin(e *tableEntry) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	e.pins--
	ts.shrink()
}

// measure counts the rows of an entry anew. An empty table counts as a few.
func (ts *tables) measure(e *tableEntry) {
	if ts.entries[e.id] != e {
		return
	}
	now := e.table.count + pageSize/4
	ts.rows += now - e.rows
	e.rows = now
	ts.shrink()
}

// shrink forgets tables that nobody has used for the longest time.
func (ts *tables) shrink() {
	for at := ts.recent.Back(); at != nil && ts.rows > ts.most; {
		e := at.Value.(*tableEntry)
		at = at.Prev()
		if e.pins == 0 {
			ts.drop(e)
		}
	}
}

func (ts *tables) drop(e *tableEntry) {
	if ts.entries[e.id] == e {
		delete(ts.entries, e.id)
		ts.recent.Remove(e.element)
		ts.rows -= e.rows
	}
}

// newest returns the table of a mailbox if it is in memory. It is for the
// committer: what it returns is the last change that was made.
func (ts *tables) newest(id storage.MailboxID) *table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if e := ts.entries[id]; e != nil {
		return e.table
	}
	return nil
}

// changed publishes what changes made of mailboxes.
func (ts *tables) changed(boxes []*boxChange) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.entries) == 0 {
		return
	}
	for _, c := range boxes {
		if e := ts.entries[c.id]; e != nil {
			ts.change(e, c)
		}
	}
}

func (ts *tables) change(e *tableEntry, c *boxChange) {
	switch {
	case c.gone:
		ts.drop(e)
	case e.table == nil:
		e.backlog = append(e.backlog, addition{c.after.modSeq, c.added})
	case e.table.modSeq >= c.after.modSeq:
	case c.table != nil:
		e.table = c.table
		ts.measure(e)
	default:
		e.table = e.table.with(c.added, c.after.modSeq)
		ts.measure(e)
	}
}
