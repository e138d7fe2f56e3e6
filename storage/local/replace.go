package local

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// Replace appends a message and expunges another, as one change.
func (m *mailbox) Replace(ctx context.Context, old imap.UID, msg storage.NewMessage) (imap.UID, error) {
	p, err := m.pick(ctx, imap.UIDSetNum(old))
	if err != nil {
		return 0, err
	}
	defer p.release()
	records, indexes, err := m.s.prepareAppend([]storage.NewMessage{msg})
	if err != nil {
		return 0, err
	}
	var given imap.UID
	var until int64
	err = m.commit(ctx, msg.Body, func(t tx) error {
		_, now, err := m.current(t)
		if err != nil {
			return err
		}
		gone, err := p.records(t, now)
		switch {
		case err != nil:
			return err
		case len(gone) == 0:
			return storage.ErrNoMessage
		}
		if given, err = m.addInstead(t, records, indexes[0], gone); err != nil {
			return err
		}
		if until, err = t.retain(m, gone); err != nil {
			return err
		}
		st, now, err := m.current(t)
		if err != nil {
			return err
		}
		_, err = t.expunge(m.id, st, now, gone)
		return err
	})
	if err != nil {
		return 0, err
	}
	m.s.purger.expect(until)
	return given, nil
}

// addInstead adds a message that takes the room of another.
func (m *mailbox) addInstead(t tx, records []record, index []byte, gone []record) (imap.UID, error) {
	st, err := t.state(m.id)
	if err != nil {
		return 0, err
	}
	if more := records[0].size - gone[0].size; more > 0 {
		if err := t.room(m.tree, &st, storage.Quota{Bytes: more}); err != nil {
			return 0, err
		}
	}
	records[0].blob = t.Blob()
	c, err := t.add(m.id, st, records)
	if err != nil {
		return 0, err
	}
	if t.Blob() != 0 {
		t.Ref(t.Blob(), 1)
		if index != nil {
			t.Cache(indexKey(records[0].place), index)
		}
	}
	return uidOf(c.added[0]), nil
}
