package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// arrived changes messages that a copy or move brought to its destination.
func arrived(m *mailbox, dest string, uids []imap.UID, f func(*stored)) {
	m.account.store.inside(func() {
		if to, err := m.account.find(dest); err == nil {
			for i := range to.messages {
				if slices.Contains(uids, to.messages[i].UID) {
					f(&to.messages[i])
				}
			}
		}
	})
}

func copyThen(f func(*stored)) func(*behaviour) {
	return func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Copy(ctx, set, dest)
			arrived(m, dest, c.Dest, f)
			return c, err
		}
	}
}

func moveThen(f func(*stored)) func(*behaviour) {
	return func(b *behaviour) {
		b.move = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Move(ctx, set, dest)
			arrived(m, dest, c.Dest, f)
			return c, err
		}
	}
}

// oneByOne makes a copy of each message in turn, as many changes.
func oneByOne(m *mailbox, ctx context.Context, set imap.UIDSet, dest string, pause func()) (all storage.Copied, err error) {
	list, err := m.list(ctx, 0)
	if err != nil {
		return all, err
	}
	if all, err = m.Copy(ctx, nil, dest); err != nil {
		return all, err
	}
	for _, msg := range list {
		if !imap.UIDSet(set).Contains(msg.UID) {
			continue
		}
		c, err := m.Copy(ctx, imap.UIDSetNum(msg.UID), dest)
		if err != nil {
			return all, err
		}
		all.Source, all.Dest = append(all.Source, c.Source...), append(all.Dest, c.Dest...)
		pause()
	}
	return all, nil
}

var copyFaults = []fault{
	{"a copy is made message by message", "Living/Concurrent/ChangesAreSeenWhole", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			return oneByOne(m, ctx, set, dest, func() { time.Sleep(time.Millisecond) })
		}
	}},
	{"a copy loses flags", "Living/Copy/KeepsFlagsDatesAndOrder Durable/Acknowledged/Copy", copyThen(func(s *stored) { s.Flags.System = 0 })},
	{"a copy loses keywords", "Living/Copy/KeepsFlagsDatesAndOrder Durable/Acknowledged/Copy", copyThen(func(s *stored) { s.Flags.Keywords = nil })},
	{"a copy has the date of its making", "Living/Copy/KeepsFlagsDatesAndOrder", copyThen(func(s *stored) { s.Date = storage.TrimDate(time.Now()) })},
	{"a copy does not raise the ModSeq", "Living/Messages/EveryChangeRaisesTheModSeq", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Copy(ctx, set, dest)
			if len(c.Dest) > 0 {
				m.account.store.inside(func() { m.account.boxes[dest].modSeq-- })
			}
			return c, err
		}
	}},
	{"copies are in the order of the set", "Living/Copy/KeepsFlagsDatesAndOrder", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (all storage.Copied, err error) {
			if len(set) == 0 {
				return m.Copy(ctx, set, dest)
			}
			for _, r := range set {
				c, err := m.Copy(ctx, imap.UIDSet{r}, dest)
				if err != nil {
					return all, err
				}
				all.UIDValidity = c.UIDValidity
				all.Source, all.Dest = append(all.Source, c.Source...), append(all.Dest, c.Dest...)
			}
			return all, nil
		}
	}},
	{"a copy of nothing raises the ModSeq of its destination", "Living/Copy/NothingIsNothing", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Copy(ctx, set, dest)
			if err == nil && len(c.Dest) == 0 {
				m.account.store.inside(func() { m.account.boxes[dest].changed() })
			}
			return c, err
		}
	}},
	{"a copy makes its destination", "Living/Copy/I29IntoNoMailboxChangesNothing", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Copy(ctx, set, dest)
			if errors.Is(err, storage.ErrNoMailbox) {
				m.account.store.inside(func() { _, err = m.account.create(dest, storage.NewMailbox{}, subscribed, bounded) })
				if err == nil {
					return m.Copy(ctx, set, dest)
				}
			}
			return c, err
		}
	}},
	{"a copy goes on when its context has ended", "Living/Copy/I29IntoNoMailboxChangesNothing", func(b *behaviour) {
		b.copy = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			return m.Copy(context.WithoutCancel(ctx), set, dest)
		}
	}},
	{"a move leaves the originals", "Living/Copy/MoveIsCopyAndExpunge Durable/Acknowledged/Move", func(b *behaviour) { b.move = (*mailbox).Copy }},
	{"a move loses flags", "Living/Copy/MoveKeepsFlagsAndDates Durable/Acknowledged/Move", moveThen(func(s *stored) { s.Flags = storage.Flags{} })},
	{"a move has the date of its making", "Living/Copy/MoveKeepsFlagsAndDates", moveThen(func(s *stored) { s.Date = storage.TrimDate(time.Now()) })},
	{"a move keeps no tombstones", "Living/Copy/MoveIsCopyAndExpunge Durable/Numbers/TombstonesStay", func(b *behaviour) {
		b.move = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			before := len(m.tombs)
			c, err := m.Move(ctx, set, dest)
			m.account.store.inside(func() { m.tombs = m.tombs[:before] })
			return c, err
		}
	}},
	{"a move does not raise the ModSeq of its source", "Living/Messages/EveryChangeRaisesTheModSeq", func(b *behaviour) {
		b.move = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Move(ctx, set, dest)
			if len(c.Source) > 0 {
				m.account.store.inside(func() { m.modSeq-- })
			}
			return c, err
		}
	}},
	{"a move into its own mailbox removes the message", "Living/Copy/I29IntoTheSameMailbox", func(b *behaviour) {
		b.move = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Move(ctx, set, dest)
			if err == nil && m.account.boxes[dest] == m {
				_, err = m.Expunge(ctx, imap.UIDSetNum(c.Dest...))
			}
			return c, err
		}
	}},
}
