package local

import (
	"context"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// SaveDates yields when messages came into the mailbox.
func (m *mailbox) SaveDates(ctx context.Context, set imap.UIDSet) iter.Seq2[storage.SaveDate, error] {
	return walkRecords(ctx, m, set, func(rec *record) storage.SaveDate {
		return storage.SaveDate{UID: uidOf(rec.listed), Date: rec.savedAt()}
	})
}

func (m *record) savedAt() time.Time {
	if m.saved == 0 {
		return time.Time{}
	}
	return time.Unix(m.saved, 0).UTC()
}
