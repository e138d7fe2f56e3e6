package memory

import (
	"context"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// early makes methods return before what they did is durable.
func early(methods ...string) func(*behaviour) {
	return func(b *behaviour) {
		for _, m := range methods {
			b.unsynced[m] = true
		}
	}
}

// aMoment is what a crash needs to come between two syncs.
func (b *behaviour) aMoment() {
	b.sync()
	time.Sleep(time.Millisecond)
}

var syncFaults = []fault{
	{"Account returns before the sync", "Durable/Acknowledged/Account", early("Account")},
	{"Deliver returns before the sync", "Durable/Acknowledged/Deliver Durable/Acknowledged/DeliverOneByOne Durable/Whole/Deliveries", early("Deliver")},
	{"Append returns before the sync", "Durable/Acknowledged/Append", early("Append")},
	{"StoreFlags returns before the sync", "Durable/Acknowledged/StoreFlags", early("StoreFlags")},
	{"Expunge returns before the sync", "Durable/Acknowledged/Expunge", early("Expunge")},
	{"Copy returns before the sync", "Durable/Acknowledged/Copy", early("Copy")},
	{"Move returns before the sync", "Durable/Acknowledged/Move", early("Move")},
	{"Create returns before the sync", "Durable/Acknowledged/Create", early("Create", "Account")},
	{"Rename returns before the sync", "Durable/Acknowledged/Rename Durable/Acknowledged/RenameOfInbox", early("Rename")},
	{"Delete returns before the sync", "Durable/Acknowledged/Delete", early("Delete")},
	{"Subscribe returns before the sync", "Durable/Acknowledged/Subscribe", early("Subscribe")},
	{"Unsubscribe returns before the sync", "Durable/Acknowledged/Subscribe", early("Unsubscribe")},
	{"Annotate returns before the sync", "Durable/Acknowledged/Annotate", early("Annotate")},
	{"RemoveAccount returns before the sync", "Durable/Acknowledged/RemoveAccount", early("RemoveAccount")},
	{"what is not durable can be seen", "Durable/Whole/WhatWasSeen", func(b *behaviour) {
		b.early = true
		b.unsynced["Account"] = true // or everything would be durable soon
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			uids, err := m.Append(ctx, msgs...)
			time.Sleep(20 * time.Millisecond)
			return uids, err
		}
	}},
	{"a delivery syncs after each target", "Durable/Whole/Deliveries", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) (r []storage.Receipt, err error) {
			for i := range d.Targets {
				one := *d
				one.Targets = d.Targets[i : i+1]
				done, err := s.Deliver(ctx, &one)
				if err != nil {
					return nil, err
				}
				r = append(r, done...)
				b.aMoment()
			}
			return r, nil
		}
	}},
	{"an append syncs after each message", "Durable/Whole/Appends", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) (given []imap.UID, err error) {
			for _, msg := range msgs {
				uids, err := m.Append(ctx, msg)
				if err != nil {
					return nil, err
				}
				given = append(given, uids...)
				b.aMoment()
			}
			return given, nil
		}
	}},
	{"a move syncs the copies before the originals go", "Durable/Whole/Moves", func(b *behaviour) {
		b.move = func(m *mailbox, ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
			c, err := m.Copy(ctx, set, dest)
			b.aMoment()
			if err == nil {
				_, err = m.Expunge(ctx, imap.UIDSetNum(c.Source...))
			}
			return c, err
		}
	}},
	{"flags are synced message by message", "Durable/Whole/FlagsOfManyMessages", func(b *behaviour) {
		b.storeFlags = func(m *mailbox, ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
			list, err := m.list(ctx, 0)
			for _, msg := range list {
				one := u
				if one.UIDs = imap.UIDSetNum(msg.UID); imap.UIDSet(u.UIDs).Contains(msg.UID) || u.UIDs[0].Stop == 0 {
					c, f, err := m.StoreFlags(ctx, one)
					if err != nil {
						return nil, nil, err
					}
					changed, failed = append(changed, c...), append(failed, f...)
					b.sync()
				}
			}
			return changed, failed, err
		}
	}},
	{"a rename syncs the children before the parent", "Durable/Whole/Renames", func(b *behaviour) {
		b.rename = func(a *account, ctx context.Context, from, to string) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			a.store.inside(func() {
				if a.boxes[from] != nil && a.boxes[to] == nil {
					for _, n := range a.below(from) {
						a.place(to+n[len(from):], a.leave(n))
					}
				}
			})
			b.aMoment()
			return a.Rename(ctx, from, to)
		}
	}},
}

// restarted changes every mailbox that is found after a crash.
func restarted(f func(*mailbox)) func(*behaviour) {
	return func(b *behaviour) { b.restart = func(s *Store) { s.eachBox(f) } }
}

var restartFaults = []fault{
	{"after a crash UIDNEXT is worked out from the messages", "Durable/Numbers/UIDsNeverRepeat Durable/Acknowledged/RenameOfInbox", restarted(func(m *mailbox) {
		m.next = 1
		if n := len(m.messages); n > 0 {
			m.next = m.messages[n-1].UID + 1
		}
	})},
	{"after a crash the ModSeq is worked out from the messages", "Durable/Numbers/ModSeqsNeverGoBack", restarted(func(m *mailbox) {
		m.modSeq = 1
		for _, msg := range m.messages {
			m.modSeq = max(m.modSeq, msg.ModSeq)
		}
	})},
	{"after a crash there are no tombstones", "Durable/Numbers/TombstonesStay Durable/Acknowledged/Expunge Durable/Acknowledged/Move", restarted(func(m *mailbox) { m.tombs = nil })},
	{"after a crash UIDVALIDITY is another", "Durable/Numbers/UIDsNeverRepeat Durable/Acknowledged/Deliver", restarted(func(m *mailbox) { m.validity++ })},
	{"after a crash UIDVALIDITY of a name begins again", "Durable/Numbers/UIDValidityOfANameGrows", func(b *behaviour) {
		b.restart = func(s *Store) {
			s.lastValidity = 1
			for _, a := range s.accounts {
				clear(a.validity)
			}
			s.eachBox(func(m *mailbox) { s.lastValidity = max(s.lastValidity, m.validity) })
		}
	}},
	{"after a crash IDs are given again", "Durable/Numbers/MailboxIDsNeverRepeat", func(b *behaviour) {
		b.restart = func(s *Store) {
			s.lastMailbox = 0
			s.eachBox(func(m *mailbox) { s.lastMailbox = max(s.lastMailbox, m.id) })
		}
	}},
	{"after a crash the last message is torn", "Durable/Acknowledged/Deliver Durable/Acknowledged/Append Durable/Acknowledged/DeliverOneByOne", restarted(func(m *mailbox) {
		if n := len(m.messages); n > 0 {
			m.messages[n-1].body = text(m.messages[n-1].body, func(p []byte) []byte { return p[:len(p)/2] })
		}
	})},
	{"after a crash content is zeros", "Durable/Acknowledged/Deliver Durable/Acknowledged/EverythingThatCouldBeSeen", restarted(func(m *mailbox) {
		for i := range m.messages {
			m.messages[i].body = message.FromBytes(make([]byte, m.messages[i].Size))
		}
	})},
	{"after a crash flags are gone", "Durable/Acknowledged/Deliver Durable/Acknowledged/StoreFlags Durable/Acknowledged/Copy Durable/Acknowledged/Move", restarted(func(m *mailbox) {
		for i := range m.messages {
			m.messages[i].Flags = storage.Flags{}
		}
	})},
	{"after a crash messages of a deleted mailbox come back", "Durable/Acknowledged/Delete", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			m, _ := a.find(name)
			var had []stored
			if m != nil {
				had = m.messages
			}
			err := a.Delete(ctx, name)
			b.restart = func(s *Store) { s.revive(name, had) }
			return err
		}
	}},
	{"after a crash accounts have no subscriptions", "Durable/Acknowledged/Deliver Durable/Acknowledged/Account Durable/Acknowledged/Subscribe", func(b *behaviour) {
		b.restart = func(s *Store) {
			for _, a := range s.accounts {
				clear(a.subs)
			}
		}
	}},
	{"after a crash mailboxes are without their parents", "Durable/Acknowledged/Create", func(b *behaviour) {
		b.restart = func(s *Store) {
			for _, a := range s.accounts {
				for name := range a.boxes {
					if i := strings.LastIndex(name, storage.Separator); i > 0 {
						delete(a.boxes, name[:i])
					}
				}
			}
		}
	}},
}

// revive puts a deleted mailbox back.
func (s *Store) revive(name string, had []stored) {
	for _, a := range s.accounts {
		m := a.insert(name, storage.Mail)
		m.messages = had
	}
}
