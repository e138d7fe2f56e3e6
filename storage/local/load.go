package local

import (
	"context"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// loadTable reads a mailbox's rows as they stand at one moment.
func (s *Store) loadTable(ctx context.Context, id storage.MailboxID) (*table, error) {
	snap := s.e.Snapshot()
	defer snap.Close()
	return readTable(ctx, snap, id)
}

func readTable(ctx context.Context, snap *engine.Snapshot, id storage.MailboxID) (*table, error) {
	st, err := getState(snap, id)
	if err != nil {
		return nil, err
	}
	t := &table{modSeq: st.modSeq, chunks: make([]*chunk, 0, pageOf(st.next)+1)}
	covered := uint32(0) // the last UID that a page tells of
	err = snap.Scan(ctx, pageKey(id, 0), behind(keyPage, uint64(id)), func(k, v []byte) error {
		page, ok := tail32(k)
		if !ok {
			return ErrDamaged
		}
		c, upto, err := parsePage(page, v)
		if err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		covered = upto
		if len(c.rows) > 0 {
			t.chunks = append(t.chunks, c)
			t.count += len(c.rows)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", id, failure(err))
	}
	// All pages but the last are written, so what no page tells of is in the last.
	from := max(covered+1, pageOf(st.next)<<pageBits)
	var rest []listed
	err = snap.Scan(ctx, messageKey(id, from), behind(keyMessage, uint64(id)), func(k, v []byte) error {
		m, err := parseMessage(k, v)
		rest = append(rest, m.listed)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", id, failure(err))
	}
	return t.with(rest, st.modSeq), nil
}

// parseMessage reads a message's record with its key.
func parseMessage(k, v []byte) (record, error) {
	uid, ok := tail32(k)
	if !ok {
		return record{}, ErrDamaged
	}
	m, err := parseRecord(uid, v)
	if err != nil {
		return record{}, fmt.Errorf("message %d: %w", uid, err)
	}
	return m, nil
}

// readPage reads the rows of the page that next is in, those below next.
func readPage(etx *engine.Tx, id storage.MailboxID, next uint32) (*chunk, error) {
	page := pageOf(next)
	c, from := newChunk(page), page<<pageBits
	v, ok, err := etx.Get(pageKey(id, page))
	if err != nil {
		return nil, err
	}
	if ok {
		if c, from, err = parsePage(page, v); err != nil {
			return nil, fmt.Errorf("mailbox %d page %d: %w", id, page, err)
		}
		from++
	}
	err = etx.Scan(messageKey(id, from), messageKey(id, next), func(k, v []byte) error {
		m, err := parseMessage(k, v)
		if err == nil {
			c.push(m.listed)
		}
		return err
	})
	return c, err
}
