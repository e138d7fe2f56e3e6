package local

import (
	"cmp"
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// transfer is what makes a copy a copy and a move a move.
type transfer struct {
	room      func(t tx, to storage.MailboxID, st *state, more storage.Quota) error // whether there is room for the copies
	originals func(t tx, records []record) error                                    // what becomes of the originals afterwards
}

// Copy copies messages. The copies share the bodies.
func (m *mailbox) Copy(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	return m.copy(ctx, set, dest, transfer{
		room: func(t tx, _ storage.MailboxID, st *state, more storage.Quota) error { return t.room(m.tree, st, more) },
		originals: func(t tx, records []record) error {
			for i := range records {
				if records[i].blob != 0 {
					t.Ref(records[i].blob, 1)
				}
			}
			return nil
		},
	})
}

// Move moves messages, with their references to bodies.
func (m *mailbox) Move(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	return m.copy(ctx, set, dest, transfer{
		room: func(t tx, to storage.MailboxID, st *state, more storage.Quota) error {
			if to == m.id {
				return nil
			}
			return t.roomInBox(m.user, st, more)
		},
		originals: func(t tx, gone []record) error {
			st, now, err := m.current(t)
			if err != nil {
				return err
			}
			_, err = t.expunge(m.id, st, now, gone)
			return err
		},
	})
}

// copy adds messages to another mailbox, or this one, as one change with what
// becomes of the originals.
func (m *mailbox) copy(ctx context.Context, set imap.UIDSet, dest string, x transfer) (storage.Copied, error) {
	name, err := storage.CleanName(dest)
	if err != nil {
		if _, err := m.ready(ctx); err != nil {
			return storage.Copied{}, err
		}
		return storage.Copied{}, storage.ErrNoMailbox
	}
	p, err := m.pick(ctx, set)
	if err != nil {
		return storage.Copied{}, err
	}
	defer p.release()
	var done storage.Copied
	err = m.commit(ctx, nil, func(t tx) error {
		_, now, err := m.current(t)
		if err != nil {
			return err
		}
		records, err := p.records(t, now)
		if err != nil {
			return err
		}
		to, err := t.named(m.user, m.account.id, name)
		if err != nil {
			return err
		}
		st, err := t.state(to)
		if err != nil {
			return err
		}
		done = storage.Copied{UIDValidity: st.validity}
		if len(records) == 0 {
			return errNothing
		}
		if err := x.room(t, to, &st, total(records)); err != nil {
			return err
		}
		if err := t.copyTo(to, st, records, &done); err != nil {
			return err
		}
		return x.originals(t, records)
	})
	if err != nil {
		return storage.Copied{}, err
	}
	return done, nil
}

// copyTo adds copies of messages to a mailbox.
func (t tx) copyTo(to storage.MailboxID, st state, records []record, done *storage.Copied) error {
	copies := append([]record(nil), records...)
	c, err := t.add(to, st, copies)
	if err != nil {
		return err
	}
	for i := range records {
		done.Source = append(done.Source, uidOf(records[i].listed))
		done.Dest = append(done.Dest, uidOf(c.added[i]))
	}
	return nil
}

// named finds a mailbox of an account by its clean name.
func (t tx) named(user string, id accountID, name string) (storage.MailboxID, error) {
	g, err := t.account(tree{user, id})
	if err != nil {
		return 0, err
	}
	b, ok, err := g.find(name)
	if err != nil || !ok {
		return 0, cmp.Or(err, storage.ErrNoMailbox)
	}
	return b.id, nil
}
