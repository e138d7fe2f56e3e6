package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// Replace appends a message and expunges another.
func (m *mailbox) Replace(ctx context.Context, old imap.UID, msg storage.NewMessage) (imap.UID, error) {
	if err := msg.Flags.Check(); err != nil {
		return 0, err
	}
	c, err := read(msg.Body, msg.Index)
	if err != nil {
		return 0, err
	}
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	had, err := m.find(old)
	if err != nil {
		return 0, err
	}
	if more := c.body.Size() - had.Size; more > 0 {
		if err := m.account.room(m, storage.Quota{Bytes: more}); err != nil {
			return 0, err
		}
	}
	places := m.pick(imap.UIDSetNum(old))
	m.retain(places)
	uid := m.add(c, msg.Flags, msg.Date)
	m.remove(places)
	m.changed()
	return uid, nil
}
