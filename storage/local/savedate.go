package local

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// SaveDates yields when messages came into the mailbox. It reads page by page,
// and holds nothing while the reader has one.
func (m *mailbox) SaveDates(ctx context.Context, set imap.UIDSet) iter.Seq2[storage.SaveDate, error] {
	return func(yield func(storage.SaveDate, error) bool) {
		_, err := m.ready(ctx)
		var t *table
		if err == nil {
			t, err = m.s.tables.get(ctx, m.id)
		}
		if err != nil {
			yield(storage.SaveDate{}, err)
			return
		}
		walk := uids.Normal(set, imap.UID(t.last())).Walk()
		for _, c := range t.chunks {
			if !c.meets(walk) {
				continue
			}
			dates, err := m.saveDates(ctx, c, walk)
			if err != nil {
				yield(storage.SaveDate{}, err)
				return
			}
			for _, d := range dates {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// saveDates reads those of one page. Messages that were expunged since the
// table was read are missing.
func (m *mailbox) saveDates(ctx context.Context, c *chunk, walk *uids.Walker) (dates []storage.SaveDate, err error) {
	from, to := c.rows[0].uid, c.rows[len(c.rows)-1].uid+1
	err = m.s.e.Scan(ctx, messageKey(m.id, from), messageKey(m.id, to), func(k, v []byte) error {
		rec, err := parseMessage(k, v)
		if err == nil && walk.Has(imap.UID(rec.uid)) {
			dates = append(dates, storage.SaveDate{UID: imap.UID(rec.uid), Date: rec.savedAt()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", m.id, failure(err))
	}
	return dates, nil
}

func (m *record) savedAt() time.Time {
	if m.saved == 0 {
		return time.Time{}
	}
	return time.Unix(m.saved, 0).UTC()
}
