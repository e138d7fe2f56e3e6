package local

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// StoreFlags changes flags. It writes each page that it changes once.
func (m *mailbox) StoreFlags(ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
	if _, err := m.ready(ctx); err != nil {
		return nil, nil, err
	}
	_, release, err := m.s.tables.pin(ctx, m.id)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	f := flagger{u: &u}
	err = m.commit(ctx, nil, func(t tx) error {
		st, old, err := m.current(t)
		if err != nil {
			return err
		}
		return f.change(t, m.id, st, old)
	})
	if err != nil {
		return nil, nil, err
	}
	return f.changed, f.failed, nil
}

// current returns the mailbox as the changes built so far leave it. Its table
// must be pinned.
func (m *mailbox) current(t tx) (state, *table, error) {
	st, err := t.state(m.id)
	if err != nil {
		return state{}, nil, err
	}
	now := t.table(m.id)
	if now == nil { // the mailbox went and came: nobody else can have taken it
		return state{}, nil, storage.ErrNoMailbox
	}
	return st, now, nil
}

// flagger makes one change of flags.
type flagger struct {
	u       *storage.FlagUpdate
	changed []storage.Message
	failed  imap.UIDSet
	st      state
	words   wordCache
}

func (f *flagger) change(t tx, id storage.MailboxID, st state, old *table) error {
	f.st, f.failed = st, nil
	f.st.modSeq++
	set := uids.Normal(f.u.UIDs, imap.UID(old.last()))
	f.changed = make([]storage.Message, 0, set.Count(old.count))
	now := &table{modSeq: f.st.modSeq, count: old.count, chunks: append(make([]*chunk, 0, len(old.chunks)+1), old.chunks...)}
	walk := set.Walk()
	for i, c := range now.chunks {
		if !c.meets(walk) {
			continue
		}
		changed, err := f.chunk(c, walk)
		if err != nil {
			return err
		}
		if changed != nil {
			now.chunks[i] = changed
			t.setPage(id, changed, st.next)
		}
	}
	if len(f.changed) == 0 {
		return errNothing
	}
	t.put(&boxChange{id: id, after: f.st, table: now})
	return nil
}

// chunk returns a changed copy of c, nil when nothing changes.
func (f *flagger) chunk(c *chunk, walk *uids.Walker) (changed *chunk, err error) {
	for i := range c.rows {
		if !walk.Has(imap.UID(c.rows[i].uid)) {
			continue
		}
		l := c.get(i)
		if f.u.UnchangedSince != 0 && l.modSeq > f.u.UnchangedSince {
			f.failed = uids.Append(f.failed, uidOf(l))
			continue
		}
		was := storage.Flags{System: l.flags, Keywords: l.words}
		is := f.apply(was)
		if is.Equal(was) {
			continue
		}
		if err := is.Check(); err != nil {
			return nil, err
		}
		if changed == nil {
			changed = c.clone()
		}
		f.st.count(l.flags, l.size, -1)
		l.flags, l.words, l.modSeq = is.System, is.Keywords, f.st.modSeq
		f.st.count(l.flags, l.size, +1)
		changed.set(i, l)
		f.changed = append(f.changed, l.message())
	}
	return changed, nil
}

// apply computes new flags. Messages that had the same keywords share the new
// ones, too.
func (f *flagger) apply(was storage.Flags) storage.Flags {
	is := was
	is.Keywords = nil
	is = is.Apply(f.u.Op, storage.Flags{System: f.u.Flags.System})
	is.Keywords = f.words.get(was.Keywords, func() []imap.Flag { return was.Apply(f.u.Op, f.u.Flags).Keywords })
	return is
}

// wordCache remembers what became of one set of keywords.
type wordCache struct {
	known   bool
	was, is []imap.Flag
}

func (w *wordCache) get(was []imap.Flag, compute func() []imap.Flag) []imap.Flag {
	if !w.known || !same(w.was, was) {
		w.known, w.was, w.is = true, was, compute()
	}
	return w.is
}

// same reports whether two slices are one.
func same(a, b []imap.Flag) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
