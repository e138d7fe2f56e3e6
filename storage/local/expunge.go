package local

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

const (
	maxTombs  = 2000 // changes of which the expunged UIDs are kept
	dropTombs = 1000 // of them that are dropped when there are more
)

// Expunge removes messages, as one change unless they are too many for one.
func (m *mailbox) Expunge(ctx context.Context, set imap.UIDSet) (removed imap.UIDSet, err error) {
	p, err := m.pick(ctx, set)
	if err != nil {
		return nil, err
	}
	defer p.release()
	for more := true; more && err == nil; {
		var part imap.UIDSet
		part, more, err = m.expungeSome(ctx, p)
		removed = append(removed, part...)
	}
	if len(removed) == 0 {
		return nil, err
	}
	return imap.UIDSet(uids.Normal(removed, 0)), err
}

// expungeSome removes as many messages as one change can. more says whether
// some are left.
func (m *mailbox) expungeSome(ctx context.Context, p *picked) (removed imap.UIDSet, more bool, err error) {
	var until int64
	err = m.commit(ctx, nil, func(t tx) error {
		st, old, err := m.current(t)
		if err != nil {
			return err
		}
		gone, err := p.records(t, old)
		if err != nil {
			return err
		}
		if gone, more = atOnce(gone); len(gone) == 0 {
			return errNothing
		}
		if until, err = t.retain(m, gone); err != nil {
			return err
		}
		removed, err = t.expunge(m.id, st, old, gone)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	m.s.purger.expect(until)
	return removed, more, nil
}

// unlink takes back a message's reference to its body. The cached index goes
// too; who shares the body makes it again.
func (t tx) unlink(m *record) {
	if m.blob != 0 {
		t.Ref(m.blob, -1)
		t.Delete(indexKey(m.place))
	}
}

// expunge removes messages, ascending, from a mailbox. References to bodies
// are the caller's.
func (t tx) expunge(id storage.MailboxID, st state, old *table, gone []record) (imap.UIDSet, error) {
	var removed imap.UIDSet
	c := &boxChange{id: id}
	before, next := st, st.next
	st.modSeq++
	st.expunged = st.modSeq
	now := &table{modSeq: st.modSeq, count: old.count - len(gone), chunks: make([]*chunk, 0, len(old.chunks)+1)}
	for _, had := range old.chunks {
		n := 0
		for n < len(gone) && pageOf(gone[n].uid) == had.page {
			n++
		}
		if n == 0 {
			now.chunks = append(now.chunks, had)
			continue
		}
		for i := range gone[:n] {
			m := &gone[i]
			removed = uids.Append(removed, imap.UID(m.uid))
			st.count(m.flags, m.size, -1)
			t.Delete(messageKey(id, m.uid))
		}
		if kept := had.without(gone[:n]); len(kept.rows) > 0 {
			now.chunks = append(now.chunks, kept)
			t.setPage(id, kept, next)
		} else {
			t.Delete(pageKey(id, had.page))
		}
		gone = gone[n:]
	}
	t.s.value = appendTombstone(t.s.value[:0], removed)
	t.Set(expungedKey(id, st.modSeq), t.s.value)
	st.tombs++
	if st.tombs > maxTombs {
		if err := t.dropTombs(id, &st); err != nil {
			return nil, err
		}
	}
	c.after, c.table, c.gain = st, now, gain(&before, &st)
	t.put(c)
	return removed, nil
}

// without returns a copy of a chunk without some of its rows.
func (c *chunk) without(gone []record) *chunk {
	d := newChunk(c.page)
	for i := range c.rows {
		if len(gone) > 0 && gone[0].uid == c.rows[i].uid {
			gone = gone[1:]
			continue
		}
		d.push(c.get(i))
	}
	return d
}

// dropTombs forgets the oldest tombstones.
func (t tx) dropTombs(id storage.MailboxID, st *state) error {
	n := 0
	err := t.Scan(expungedKey(id, 0), behind(keyExpunged, uint64(id)), func(k, _ []byte) error {
		if n == dropTombs {
			return errEnough
		}
		modSeq, ok := number(k, 8)
		if !ok {
			return ErrDamaged
		}
		st.floor = modSeq
		t.Delete(k)
		n++
		return nil
	})
	st.tombs -= uint32(n)
	if err == errEnough {
		err = nil
	}
	return err
}
