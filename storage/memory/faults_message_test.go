package memory

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// statusWith changes what Status says.
func statusWith(f func(*mailbox, *storage.Status)) func(*behaviour) {
	return func(b *behaviour) {
		b.status = func(m *mailbox, ctx context.Context) (storage.Status, error) {
			s, err := m.Status(ctx)
			if err == nil {
				m.account.store.inside(func() { f(m, &s) })
			}
			return s, err
		}
	}
}

// afterExpunge changes the mailbox when something was expunged from it.
func afterExpunge(f func(m *mailbox, removed imap.UIDSet)) func(*behaviour) {
	return func(b *behaviour) {
		b.expunge = func(m *mailbox, ctx context.Context, set imap.UIDSet) (imap.UIDSet, error) {
			removed, err := m.Expunge(ctx, set)
			if err == nil {
				m.account.store.inside(func() { f(m, removed) })
			}
			return removed, err
		}
	}
}

// mortal is an open content that ends with its message.
type mortal struct {
	message.OpenBody
	m   *mailbox
	uid imap.UID
}

func (o mortal) ReadAt(p []byte, off int64) (n int, err error) {
	o.m.account.store.inside(func() { _, err = o.m.find(o.uid) })
	if err != nil {
		return 0, err
	}
	return o.OpenBody.ReadAt(p, off)
}

var messageFaults = []fault{
	{"a list of messages is by descending UID", "Living/Messages/SinceAModSeq Living/Append/ManyAtOnceAreOneChangeInOrder", func(b *behaviour) {
		b.messages = func(m *mailbox, ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
			return func(yield func(storage.Message, error) bool) {
				list, err := m.list(ctx, since)
				if err != nil {
					yield(storage.Message{}, err)
					return
				}
				for _, msg := range slices.Backward(list) {
					if !yield(msg, nil) {
						return
					}
				}
			}
		}
	}},
	{"CHANGEDSINCE is ignored", "Living/Messages/SinceAModSeq", func(b *behaviour) {
		b.messages = func(m *mailbox, ctx context.Context, _ uint64) iter.Seq2[storage.Message, error] {
			return m.Messages(ctx, 0)
		}
	}},
	{"CHANGEDSINCE gives those of that ModSeq, too", "Living/Messages/SinceAModSeq", func(b *behaviour) {
		b.messages = func(m *mailbox, ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
			return m.Messages(ctx, max(since, 1)-1)
		}
	}},
	{"a list of messages is not of one moment", "Living/Messages/IsOneMoment", func(b *behaviour) {
		b.messages = func(m *mailbox, ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
			return func(yield func(storage.Message, error) bool) {
				for last := imap.UID(0); ; {
					list, err := m.list(ctx, since)
					if err != nil {
						yield(storage.Message{}, err)
						return
					}
					i := slices.IndexFunc(list, func(msg storage.Message) bool { return msg.UID > last })
					if i < 0 || !yield(list[i], nil) {
						return
					}
					last = list[i].UID
				}
			}
		}
	}},
	{"a list of messages goes on when its context has ended", "Living/Messages/EndsWithItsContext", func(b *behaviour) {
		b.messages = func(m *mailbox, ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
			return m.Messages(context.WithoutCancel(ctx), since)
		}
	}},
	{"the UID of the last message is given again when it is expunged", "Living/Messages/UIDsAreNeverGivenTwice Living/Concurrent/UIDsOfOneMailboxNeverRepeat Durable/Numbers/UIDsNeverRepeat",
		afterExpunge(func(m *mailbox, _ imap.UIDSet) {
			m.next = 1
			if n := len(m.messages); n > 0 {
				m.next = m.messages[n-1].UID + 1
			}
		})},
	{"UIDNEXT is that of the last message", "Living/Messages/UIDsAreNeverGivenTwice Living/Rename/I13InboxGivesItsMessagesAway", statusWith(func(m *mailbox, s *storage.Status) {
		s.UIDNext = 1
		if n := len(m.messages); n > 0 {
			s.UIDNext = m.messages[n-1].UID + 1
		}
	})},
	{"the counter of unseen messages counts all", "Living/Flags/AddRemoveSet Living/Copy/ManyMessages", statusWith(func(_ *mailbox, s *storage.Status) { s.Unseen = s.Messages })},
	{"the counter of deleted messages forgets what is expunged", "Living/Expunge/RemovesFlaggedOrNot", statusWith(func(m *mailbox, s *storage.Status) { s.Deleted += uint32(min(len(m.tombs), 1)) })},
	{"the counter of messages counts those expunged", "Living/Expunge/RemovesFlaggedOrNot Living/Copy/MoveIsCopyAndExpunge", statusWith(func(m *mailbox, s *storage.Status) { s.Messages += uint32(len(m.tombs)) })},
	{"the size of a mailbox is that of its first message", "Living/Append/ManyAtOnceAreOneChangeInOrder Living/Copy/ManyMessages", statusWith(func(m *mailbox, s *storage.Status) {
		if len(m.messages) > 0 {
			s.Size = m.messages[0].Size
		}
	})},
	{"messages are told as recent twice", "Living/Powers/RecentIsTakenOnce", func(b *behaviour) {
		b.takeRecent = func(m *mailbox, ctx context.Context) (first imap.UID, err error) {
			m.account.store.inside(func() { first = m.recent })
			return first, ctx.Err()
		}
	}},
	{"an expunge keeps no tombstones", "Living/Expunge/ExpungedSince Durable/Numbers/TombstonesStay", afterExpunge(func(m *mailbox, _ imap.UIDSet) { m.tombs = nil })},
	{"an expunge keeps one tombstone", "Living/Expunge/ExpungedSince Living/Expunge/ManyAtOnceAreOneChange", afterExpunge(func(m *mailbox, _ imap.UIDSet) {
		m.tombs = m.tombs[:min(len(m.tombs), 1)]
	})},
	{"tombstones are of the hundred last messages only", "Living/Expunge/AThousandChangesBackAreKnown", afterExpunge(func(m *mailbox, _ imap.UIDSet) {
		m.tombs = m.tombs[max(len(m.tombs)-100, 0):]
	})},
	{"tombstones are told whatever the ModSeq", "Living/Expunge/ExpungedSince", func(b *behaviour) {
		b.expunged = func(m *mailbox, ctx context.Context, _ uint64) (imap.UIDSet, error) { return m.Expunged(ctx, 0) }
	}},
	{"an expunge leaves messages that are not flagged", "Living/Expunge/RemovesFlaggedOrNot", func(b *behaviour) {
		b.expunge = func(m *mailbox, ctx context.Context, set imap.UIDSet) (imap.UIDSet, error) {
			var flagged []imap.UID
			m.account.store.inside(func() {
				for _, at := range m.pick(set) {
					if m.messages[at].Flags.Has(storage.Deleted) {
						flagged = append(flagged, m.messages[at].UID)
					}
				}
			})
			return m.Expunge(ctx, imap.UIDSetNum(flagged...))
		}
	}},
	{"an expunge does not raise the ModSeq", "Living/Messages/EveryChangeRaisesTheModSeq Living/Expunge/ExpungedSince", afterExpunge(func(m *mailbox, removed imap.UIDSet) {
		if len(removed) > 0 {
			m.modSeq--
		}
	})},
	{"an expunge of nothing raises the ModSeq", "Living/Expunge/NothingIsNothing Living/Watch/SaysNothingWhenNothingChanged", afterExpunge(func(m *mailbox, removed imap.UIDSet) {
		if len(removed) == 0 {
			m.changed()
		}
	})},
	{"an expunge goes on when its context has ended", "Living/Expunge/NothingIsNothing", func(b *behaviour) {
		b.expunge = func(m *mailbox, ctx context.Context, set imap.UIDSet) (imap.UIDSet, error) {
			return m.Expunge(context.WithoutCancel(ctx), set)
		}
	}},
	{"an expunge leaves the content to be read", "Living/Content/NoMessage Durable/Acknowledged/Expunge", func(b *behaviour) {
		seen := make(map[storage.MailboxID]map[imap.UID]message.OpenBody)
		b.open = func(m *mailbox, ctx context.Context, uid imap.UID) (message.OpenBody, error) {
			c, err := m.Open(ctx, uid)
			if errors.Is(err, storage.ErrNoMessage) && uid < m.next {
				return seen[m.id][1], nil
			}
			if seen[m.id] == nil {
				seen[m.id] = make(map[imap.UID]message.OpenBody)
			}
			seen[m.id][uid] = c
			return c, err
		}
	}},
	{"open content ends with its message", "Living/Content/P03OpenContentOutlivesItsMessage", func(b *behaviour) {
		b.open = func(m *mailbox, ctx context.Context, uid imap.UID) (message.OpenBody, error) {
			c, err := m.Open(ctx, uid)
			if err != nil {
				return nil, err
			}
			return mortal{c, m, uid}, nil
		}
	}},
}

// afterFlags changes the mailbox when flags were changed in it.
func afterFlags(f func(m *mailbox, before []stored, changed []storage.Message)) func(*behaviour) {
	return func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) ([]storage.Message, imap.UIDSet, error) {
			var before []stored
			m.account.store.inside(func() { before = slices.Clone(m.messages) })
			changed, failed, err := m.StoreFlags(ctx, u)
			if err == nil {
				m.account.store.inside(func() { f(m, before, changed) })
			}
			return changed, failed, err
		}
	}
}

// flagsWith changes the update before it is made.
func flagsWith(f func(context.Context, *mailbox, *storage.FlagUpdate) context.Context) func(*behaviour) {
	return func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) ([]storage.Message, imap.UIDSet, error) {
			ctx = f(ctx, m, &u)
			return m.StoreFlags(ctx, u)
		}
	}
}

var flagFaults = []fault{
	{"of two flag updates at once one is lost", "Living/Concurrent/I20FlagsOfManySessionsUnite", func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
			if u.Op != imap.StoreFlagsAdd {
				return m.StoreFlags(ctx, u)
			}
			list, err := m.list(ctx, 0)
			runtime.Gosched()
			for _, msg := range list {
				one, _, err := m.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(msg.UID), Flags: msg.Flags.Apply(u.Op, u.Flags)})
				if err != nil {
					return nil, nil, err
				}
				changed = append(changed, one...)
			}
			return changed, nil, err
		}
	}},
	{"flags are acknowledged and not stored", "Living/Flags/AddRemoveSet Durable/Acknowledged/StoreFlags", afterFlags(func(m *mailbox, before []stored, _ []storage.Message) { m.messages = before })},
	{"flags of the last message of many are not stored", "Living/Flags/OnAllOfManyMessages", afterFlags(func(m *mailbox, before []stored, changed []storage.Message) {
		if n := len(before); len(changed) > 1 {
			m.messages[n-1] = before[n-1]
		}
	})},
	{"keywords are added and never removed", "Living/Flags/AddRemoveSet", flagsWith(func(ctx context.Context, _ *mailbox, u *storage.FlagUpdate) context.Context {
		if u.Op == imap.StoreFlagsDel {
			u.Flags.Keywords = nil
		}
		return ctx
	})},
	{"setting flags adds them", "Living/Flags/AddRemoveSet", flagsWith(func(ctx context.Context, _ *mailbox, u *storage.FlagUpdate) context.Context {
		if u.Op == imap.StoreFlagsSet {
			u.Op = imap.StoreFlagsAdd
		}
		return ctx
	})},
	{"a change of flags does not raise the ModSeq", "Living/Messages/EveryChangeRaisesTheModSeq Living/Flags/ReturnsWhatItChanged Durable/Numbers/ModSeqsNeverGoBack",
		afterFlags(func(m *mailbox, before []stored, changed []storage.Message) {
			if len(changed) > 0 {
				m.modSeq--
				for i := range before {
					m.messages[i].ModSeq = before[i].ModSeq
				}
			}
		})},
	{"flags that are there already raise the ModSeq", "Living/Flags/ReturnsWhatItChanged Living/Watch/SaysNothingWhenNothingChanged", afterFlags(func(m *mailbox, _ []stored, changed []storage.Message) {
		if len(changed) == 0 {
			m.changed()
		}
	})},
	{"a change of flags raises the ModSeq of all messages", "Living/Messages/SinceAModSeq", afterFlags(func(m *mailbox, _ []stored, changed []storage.Message) {
		for i := range m.messages {
			m.messages[i].ModSeq = m.modSeq
		}
	})},
	{"messages that were not changed are returned as changed", "Living/Flags/ReturnsWhatItChanged", func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
			if _, failed, err = m.StoreFlags(ctx, u); err == nil {
				m.account.store.inside(func() {
					for _, at := range m.pick(u.UIDs) {
						changed = append(changed, m.messages[at].Message)
					}
				})
			}
			return changed, failed, err
		}
	}},
	{"UNCHANGEDSINCE is ignored", "Living/Flags/UnchangedSince", flagsWith(func(ctx context.Context, _ *mailbox, u *storage.FlagUpdate) context.Context {
		u.UnchangedSince = 0
		return ctx
	})},
	{"one message that fails UNCHANGEDSINCE stops all", "Living/Flags/UnchangedSince", flagsWith(func(ctx context.Context, m *mailbox, u *storage.FlagUpdate) context.Context {
		if list, err := m.list(ctx, u.UnchangedSince); err == nil && u.UnchangedSince > 0 && len(list) > 0 {
			u.UnchangedSince = 1
		}
		return ctx
	})},
	{"one message with too many keywords stops those after it only", "Living/Flags/OneMessageWithTooManyKeywordsStopsAll", func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
			var picked []imap.UID
			m.account.store.inside(func() {
				for _, at := range m.pick(u.UIDs) {
					picked = append(picked, m.messages[at].UID)
				}
			})
			if len(picked) != 2 {
				return m.StoreFlags(ctx, u)
			}
			for _, uid := range picked {
				one := u
				one.UIDs = imap.UIDSetNum(uid)
				c, f, err := m.StoreFlags(ctx, one)
				if err != nil {
					return nil, nil, err
				}
				changed, failed = append(changed, c...), append(failed, f...)
			}
			return changed, failed, nil
		}
	}},
	{"a star is no message", "Living/Flags/SetsWithStarHolesAndNonsense", flagsWith(func(ctx context.Context, _ *mailbox, u *storage.FlagUpdate) context.Context {
		u.UIDs = slices.DeleteFunc(slices.Clone(u.UIDs), func(r imap.UIDRange) bool { return r.Start == 0 || r.Stop == 0 && r.Start != 1 })
		return ctx
	})},
	{"a set of flags goes on when its context has ended", "Living/Flags/ACancelledContextChangesNothing", flagsWith(func(ctx context.Context, _ *mailbox, _ *storage.FlagUpdate) context.Context {
		return context.WithoutCancel(ctx)
	})},
}
