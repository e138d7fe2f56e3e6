package local

import (
	"encoding/binary"
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
	c := t.o.newChange()
	c.id = id
	if c.added = c.one[:]; len(msgs) != 1 {
		c.added = make([]listed, len(msgs))
	}
	before := st
	st.modSeq++
	for i := range msgs {
		m := &msgs[i]
		m.uid, m.modSeq, m.saved = st.next, st.modSeq, t.now()
		st.next++
		st.count(m.flags, m.size, 1)
		c.added[i] = m.listed
		t.s.key = binary.BigEndian.AppendUint32(appendNumberKey(t.s.key[:0], keyMessage, uint64(id)), m.uid)
		t.s.value = m.append(t.s.value[:0])
		t.Set(t.s.key, t.s.value)
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
	begun := t.tail(c.id, before)
	if pageOf(before.next) != pageOf(c.after.next) {
		return t.sealPages(before, c, begun)
	}
	if begun.rows != nil {
		for i := range c.added {
			begun.push(c.added[i])
		}
	}
	c.tail = begun
	return nil
}

// sealPages is seal when pages become complete, of which the first one begins
// with what begun has.
func (t tx) sealPages(before *state, c *boxChange, begun chunk) error {
	if begun.rows == nil {
		rows, err := t.rowsOf(c.id, before.next)
		if err != nil {
			return err
		}
		begun = *rows
	}
	end := pageOf(c.after.next)
	all := (&table{chunks: []*chunk{&begun}}).with(c.added, c.after.modSeq)
	c.tail = *all.chunks[len(all.chunks)-1]
	for _, chunk := range all.chunks {
		if chunk.page < end && len(chunk.rows) > 0 {
			t.setPage(c.id, chunk, c.after.next)
		}
	}
	if c.tail.page != end {
		c.tail = *newChunk(end)
	}
	return nil
}

// tail returns the rows of the page that before.next is in, when they are in
// memory. They are only to be added to.
func (t tx) tail(id storage.MailboxID, before *state) chunk {
	if before.next&pageMask == 0 || before.next == 1 {
		return *newChunk(pageOf(before.next))
	}
	l := t.s.live(id)
	switch {
	case l.last != nil:
		return l.last.tail
	case l.tailed == before.modSeq:
		return l.tail
	}
	return chunk{}
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
