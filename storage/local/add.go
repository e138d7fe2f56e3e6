package local

import (
	"fmt"
	"math"

	"github.com/posthouse-mail/posthouse/storage"
)

// add gives messages UIDs and writes them into a mailbox. It fills in UIDs and
// ModSeqs of the records.
func (t tx) add(id storage.MailboxID, st state, msgs []record) (*boxChange, error) {
	if uint64(st.next)+uint64(len(msgs)) > math.MaxUint32 {
		return nil, fmt.Errorf("%w: UIDs of the mailbox are used up", storage.ErrLimit)
	}
	c := &boxChange{id: id, added: make([]listed, len(msgs))}
	before, now := st, t.s.options.Now().Unix()
	st.modSeq++
	for i := range msgs {
		m := &msgs[i]
		m.uid, m.modSeq, m.saved = st.next, st.modSeq, now
		st.next++
		st.count(m.flags, m.size, 1)
		c.added[i] = m.listed
		t.s.value = m.append(t.s.value[:0])
		t.Set(messageKey(id, m.uid), t.s.value)
	}
	c.after, c.gain = st, gain(&before, &st)
	if err := t.seal(&before, c); err != nil {
		return nil, err
	}
	t.put(c)
	return c, nil
}

// seal writes the pages of which the last UID has been given out, and keeps the
// rows of the one that is not complete.
func (t tx) seal(before *state, c *boxChange) error {
	first, end := pageOf(before.next), pageOf(c.after.next)
	begun := t.tail(c.id, before)
	if begun == nil && first != end {
		var err error
		if begun, err = t.rowsOf(c.id, before.next); err != nil {
			return err
		}
	}
	switch {
	case begun == nil:
		return nil
	case first == end: // as almost always
		longer := *begun
		for _, l := range c.added {
			longer.push(l)
		}
		c.tail = &longer
		return nil
	}
	all := (&table{chunks: []*chunk{begun}}).with(c.added, c.after.modSeq)
	c.tail = all.chunks[len(all.chunks)-1]
	for _, chunk := range all.chunks {
		if chunk.page < end && len(chunk.rows) > 0 {
			t.setPage(c.id, chunk, c.after.next)
		}
	}
	if c.tail.page != end {
		c.tail = newChunk(end)
	}
	return nil
}

// tail returns the rows of the page that before.next is in, when they are in
// memory. They are only to be added to.
func (t tx) tail(id storage.MailboxID, before *state) *chunk {
	if before.next&pageMask == 0 || before.next == 1 {
		return newChunk(pageOf(before.next))
	}
	if c := t.s.pending.latest(id); c != nil {
		return c.tail
	}
	if k, ok := t.s.tails.peek(id); ok && k.modSeq == before.modSeq {
		return k.rows
	}
	return nil
}

// tail is the rows of a mailbox's page that is not complete, kept for
// mailboxes that get much mail.
type tail struct {
	modSeq uint64 // of the change that left it so
	rows   *chunk
}

// setPage writes a page of a mailbox.
func (t tx) setPage(id storage.MailboxID, c *chunk, next uint32) {
	t.s.value = appendPage(t.s.value[:0], c, min(next-1, c.page<<pageBits|pageMask))
	t.Set(pageKey(id, c.page), t.s.value)
}

// rowsOf returns a copy of the rows of the page that next is in, as the changes
// built so far leave them, those below next.
func (t tx) rowsOf(id storage.MailboxID, next uint32) (*chunk, error) {
	page := pageOf(next)
	if now := t.table(id); now != nil {
		if c := now.chunkOf(page); c != nil {
			return c.clone(), nil
		}
		return newChunk(page), nil
	}
	return readPage(t.Tx, id, next)
}
