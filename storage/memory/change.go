package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// Append stores messages.
func (m *mailbox) Append(ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
	contents := make([]content, len(msgs))
	for i, msg := range msgs {
		if err := msg.Flags.Check(); err != nil {
			return nil, err
		}
		var err error
		if contents[i], err = read(msg.Body, msg.Index); err != nil {
			return nil, err
		}
	}
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil || len(msgs) == 0 {
		return nil, err
	}
	more := storage.Quota{Messages: int64(len(msgs))}
	for i := range contents {
		more.Bytes += contents[i].body.Size()
	}
	if err := m.account.room(m, more); err != nil {
		return nil, err
	}
	given := make([]imap.UID, len(msgs))
	for i, msg := range msgs {
		given[i] = m.add(contents[i], msg.Flags, msg.Date)
	}
	m.changed()
	return given, nil
}

// StoreFlags changes flags.
func (m *mailbox) StoreFlags(ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, nil, err
	}
	places := m.pick(u.UIDs)
	flags := make([]storage.Flags, len(places))
	for i, at := range places {
		flags[i] = m.messages[at].Flags.Apply(u.Op, u.Flags)
		if err := flags[i].Check(); err != nil {
			return nil, nil, err
		}
	}
	for i, at := range places {
		msg := &m.messages[at]
		switch {
		case u.UnchangedSince != 0 && msg.ModSeq > u.UnchangedSince:
			failed = uids.Append(failed, msg.UID)
		case !msg.Flags.Equal(flags[i]):
			msg.Flags = flags[i]
			msg.ModSeq = m.modSeq + 1
			changed = append(changed, msg.Message)
		}
	}
	if len(changed) > 0 {
		m.changed()
	}
	return changed, failed, nil
}

// Expunge removes messages.
func (m *mailbox) Expunge(ctx context.Context, set imap.UIDSet) (imap.UIDSet, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	places := m.pick(set)
	m.retain(places)
	removed := m.remove(places)
	if len(removed) > 0 {
		m.changed()
	}
	return removed, nil
}

// Copy copies messages.
func (m *mailbox) Copy(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return storage.Copied{}, err
	}
	to, err := m.account.find(dest)
	if err != nil {
		return storage.Copied{}, err
	}
	places := m.pick(set)
	if len(places) > 0 {
		if err := m.account.room(to, m.sizeOf(places)); err != nil {
			return storage.Copied{}, err
		}
	}
	return m.copyTo(to, places), nil
}

// Move moves messages.
func (m *mailbox) Move(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return storage.Copied{}, err
	}
	to, err := m.account.find(dest)
	if err != nil {
		return storage.Copied{}, err
	}
	places := m.pick(set)
	c, err := m.moveTo(to, places)
	if err == nil && len(places) > 0 {
		m.remove(places)
		m.changed()
	}
	return c, err
}

// copyTo copies the messages at places to another mailbox, or this one.
func (m *mailbox) copyTo(to *mailbox, places []int) storage.Copied {
	c := storage.Copied{UIDValidity: to.validity}
	for _, at := range places {
		msg := m.messages[at]
		c.Source = append(c.Source, msg.UID)
		c.Dest = append(c.Dest, to.add(msg.content, msg.Flags, msg.Date))
	}
	if len(places) > 0 {
		to.changed()
	}
	return c
}
