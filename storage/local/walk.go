package local

import (
	"context"
	"fmt"
	"iter"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// walkRecords yields what of makes of the records of a set of messages, by
// ascending UID. It reads page by page, and holds nothing while the reader has
// one. Messages that were expunged since it began are missing.
func walkRecords[T any](ctx context.Context, m *mailbox, set imap.UIDSet, of func(*record) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		_, err := m.ready(ctx)
		var t *table
		if err == nil {
			t, err = m.s.tables.get(ctx, m.id)
		}
		if err != nil {
			yield(none, err)
			return
		}
		walk := uids.Normal(set, imap.UID(t.last())).Walk()
		for _, c := range t.chunks {
			if !c.meets(walk) {
				continue
			}
			page, err := recordsOf(ctx, m, c, walk, of)
			if err != nil {
				yield(none, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// recordsOf reads those of one page.
func recordsOf[T any](ctx context.Context, m *mailbox, c *chunk, walk *uids.Walker, of func(*record) T) (page []T, err error) {
	from, to := c.rows[0].uid, c.rows[len(c.rows)-1].uid+1
	err = m.s.e.Scan(ctx, messageKey(m.id, from), messageKey(m.id, to), func(k, v []byte) error {
		rec, err := parseMessage(k, v)
		if err == nil && walk.Has(imap.UID(rec.uid)) {
			page = append(page, of(&rec))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", m.id, failure(err))
	}
	return page, nil
}
