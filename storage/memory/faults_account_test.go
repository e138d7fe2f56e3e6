package memory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// users takes another name for that of a user.
func users(f func(string) string) func(*behaviour) {
	deliver := deliverWith(func(d *storage.Delivery) {
		for i := range d.Targets {
			d.Targets[i].User = f(d.Targets[i].User)
		}
	})
	return func(b *behaviour) {
		deliver(b)
		b.user = f
	}
}

var accountFaults = []fault{
	{"names of users are compared without regard to letter case", "Living/Account/NamesOfUsersAreTakenAsTheyAre", users(strings.ToLower)},
	{"names of users end with NUL", "Living/Account/AccountsAreApart", users(func(user string) string { user, _, _ = strings.Cut(user, "\x00"); return user })},
	{"UIDVALIDITY is used again for a name", "Living/Account/UIDValidityOfANameGrows Durable/Numbers/UIDValidityOfANameGrows", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			had := a.validity[name]
			err := a.Create(ctx, name, n)
			if err == nil && had != 0 {
				a.store.inside(func() { a.boxes[name].validity = had })
			}
			return err
		}
	}},
	{"an ID is used again", "Living/Account/ANameAgainIsANewMailbox", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			m, _ := a.find(name)
			err := a.Delete(ctx, name)
			if err == nil {
				a.store.inside(func() { a.store.lastMailbox = m.id - 1 })
			}
			return err
		}
	}},
	{"names are not normalised", "Living/Account/NormalFormsOfANameAreOneName", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			if clean, err := storage.CleanName(name); err != nil || clean == name {
				return a.Create(ctx, name, n)
			}
			a.store.inside(func() { a.insert(name, storage.Mail) })
			return nil
		}
	}},
	{"INBOX is told from inbox", "Living/Deliver/NamesAreCleaned", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			r, err := s.Deliver(ctx, d)
			for i, t := range d.Targets {
				if t.Mailbox != storage.Inbox && strings.EqualFold(t.Mailbox, storage.Inbox) {
					r[i] = storage.Receipt{Err: storage.ErrNoMailbox}
				}
			}
			return r, err
		}
	}},
	{"bad names are taken", "Living/Account/I11BadNames", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			return a.Create(ctx, strings.Trim(name, "/."), n)
		}
	}},
	{"names that are allowed are refused", "Living/Account/I11OddNamesThatAreAllowed", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			if strings.ContainsAny(name, `"\`) {
				return storage.ErrBadName
			}
			return a.Create(ctx, name, n)
		}
	}},
	{"what exists can be made again", "Living/Account/CreateMakesParentsWithoutAttributes", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			if err := a.Create(ctx, name, n); !errors.Is(err, storage.ErrMailboxExists) {
				return err
			}
			return nil
		}
	}},
	{"parents are not made", "Living/Account/CreateMakesParentsWithoutAttributes Durable/Acknowledged/Create", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			had := a.names()
			err := a.Create(ctx, name, n)
			a.store.inside(func() {
				for n := range a.boxes {
					if err == nil && !slices.Contains(had, n) && strings.HasPrefix(name, n+storage.Separator) {
						delete(a.boxes, n)
					}
				}
			})
			return err
		}
	}},
	{"parents get the attributes", "Living/Account/CreateMakesParentsWithoutAttributes", func(b *behaviour) {
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			err := a.Create(ctx, name, n)
			a.store.inside(func() {
				for above, m := range a.boxes {
					if strings.HasPrefix(name, above+storage.Separator) {
						m.attrs = n.Attrs
					}
				}
			})
			return err
		}
	}},
	{"the list of mailboxes is not sorted", "Living/Account/ListIsSortedWithInboxFirst", func(b *behaviour) {
		b.mailboxes = func(a *account, ctx context.Context) ([]storage.MailboxInfo, error) {
			list, err := a.Mailboxes(ctx)
			slices.SortFunc(list, func(x, y storage.MailboxInfo) int { return int(x.ID) - int(y.ID) })
			return list, err
		}
	}},
	{"the list of mailboxes leaves out what is only subscribed", "Living/Account/SubscriptionsAreOfNames Durable/Acknowledged/Subscribe", func(b *behaviour) {
		b.mailboxes = func(a *account, ctx context.Context) ([]storage.MailboxInfo, error) {
			list, err := a.Mailboxes(ctx)
			return slices.DeleteFunc(list, func(i storage.MailboxInfo) bool { return i.ID == 0 }), err
		}
	}},
	{"a mailbox with children can be deleted", "Living/Account/DeleteRefuses", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			a.store.inside(func() {
				for _, child := range a.below(name) {
					a.drop(child)
				}
			})
			return a.Delete(ctx, name)
		}
	}},
	{"a mailbox with a neighbour of a like name can't be deleted", "Living/Account/DeleteRefuses", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			for _, n := range a.names() {
				if n != name && strings.HasPrefix(n, name) {
					return storage.ErrHasChildren
				}
			}
			return a.Delete(ctx, name)
		}
	}},
	{"INBOX can be deleted", "Living/Account/DeleteRefuses", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			if strings.EqualFold(name, storage.Inbox) {
				a.store.inside(func() { a.drop(storage.Inbox) })
				return nil
			}
			return a.Delete(ctx, name)
		}
	}},
	{"a deleted mailbox can be used on", "Living/Account/DeleteRemovesMessagesAndHandles", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			m, _ := a.find(name)
			err := a.Delete(ctx, name)
			if err == nil {
				a.store.inside(func() { m.gone = false })
			}
			return err
		}
	}},
	{"deleting ends the subscription", "Living/Account/SubscriptionsAreOfNames", func(b *behaviour) {
		b.delete = func(a *account, ctx context.Context, name string) error {
			err := a.Delete(ctx, name)
			a.store.inside(func() { delete(a.subs, name) })
			return err
		}
	}},
	{"a name must exist to be subscribed", "Living/Account/SubscriptionsAreOfNames Durable/Acknowledged/Subscribe", func(b *behaviour) {
		b.subscribe = func(a *account, ctx context.Context, name string) error {
			if _, err := a.find(name); err != nil {
				return err
			}
			return a.Subscribe(ctx, name)
		}
	}},
	{"an account is changed though the context has ended", "Living/Account/ACancelledContextChangesNothing", func(b *behaviour) {
		b.subscribe = func(a *account, ctx context.Context, name string) error {
			return a.Subscribe(context.WithoutCancel(ctx), name)
		}
	}},
	{"a removed account leaves its mail to the next of that name", "Living/Powers/RemoveAccount Durable/Acknowledged/RemoveAccount", func(b *behaviour) {
		b.removeAccount = func(s *Store, ctx context.Context, user string) error {
			var left *account
			s.inside(func() { left = s.accounts[user] })
			if left == nil {
				return s.RemoveAccount(ctx, user)
			}
			s.inside(func() {
				boxes := make(map[string]*mailbox)
				for name, m := range left.boxes {
					boxes[name] = m
				}
				fresh := *left
				fresh.boxes = boxes
				s.accounts[user] = &fresh
			})
			return nil
		}
	}},
	{"a removed account leaves its subscriptions", "Living/Powers/RemoveAccount", func(b *behaviour) {
		b.removeAccount = func(s *Store, ctx context.Context, user string) error {
			var subs map[string]bool
			s.inside(func() {
				if a := s.accounts[user]; a != nil {
					subs = a.subs
				}
			})
			err := s.RemoveAccount(ctx, user)
			if err == nil && subs != nil {
				s.inside(func() {
					a, _ := s.account(user)
					a.subs = subs
				})
			}
			return err
		}
	}},
	{"a removed account can be used on", "Living/Powers/RemoveAccount", func(b *behaviour) {
		b.removeAccount = func(s *Store, ctx context.Context, user string) error {
			a := s.accounts[user]
			err := s.RemoveAccount(ctx, user)
			if a != nil {
				s.inside(func() { a.gone = false })
			}
			return err
		}
	}},
}

// names lists the names of an account's mailboxes.
func (a *account) names() (names []string) {
	a.store.inside(func() {
		for n := range a.boxes {
			names = append(names, n)
		}
	})
	return names
}

// renameThen changes the account when a mailbox was renamed.
func renameThen(f func(a *account, from, to string, had map[string]*mailbox)) func(*behaviour) {
	return func(b *behaviour) {
		b.rename = func(a *account, ctx context.Context, from, to string) error {
			had := make(map[string]*mailbox)
			a.store.inside(func() {
				for n, m := range a.boxes {
					had[n] = m
				}
			})
			err := a.Rename(ctx, from, to)
			if err == nil {
				a.store.inside(func() { f(a, from, to, had) })
			}
			return err
		}
	}
}

var renameFaults = []fault{
	{"a rename leaves the children", "Living/Rename/MovesChildrenAlong Durable/Acknowledged/Rename", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		for n, m := range had {
			if strings.HasPrefix(n, from+storage.Separator) {
				delete(a.boxes, to+n[len(from):])
				a.boxes[n] = m
			}
		}
	})},
	{"a rename takes neighbours of a like name along", "Living/Rename/MovesChildrenAlong", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		for n, m := range had {
			if n != from && strings.HasPrefix(n, from) && a.boxes[n] == m {
				delete(a.boxes, n)
				a.boxes[to+n[len(from):]] = m
			}
		}
	})},
	{"a rename makes a new mailbox", "Living/Rename/KeepsMessagesIDsAndHandles Durable/Acknowledged/Rename", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		if m := had[from]; m != nil && a.boxes[to] == m {
			delete(a.boxes, to)
			a.insert(to, storage.Mail).takeAll(m)
			m.gone = true
		}
	})},
	{"a rename loses the attributes", "Living/Rename/KeepsMessagesIDsAndHandles", renameThen(func(a *account, _, to string, _ map[string]*mailbox) {
		if m := a.boxes[to]; m != nil {
			m.attrs = nil
		}
	})},
	{"a rename moves the subscription", "Living/Rename/SubscriptionsStay", renameThen(func(a *account, from, to string, _ map[string]*mailbox) {
		if a.subs[from] {
			delete(a.subs, from)
			a.subs[to] = true
		}
	})},
	{"a rename keeps a UIDVALIDITY below that of the name", "Living/Rename/UIDValidityOfTheNewNameGrows", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		if m := had[from]; m != nil && from != storage.Inbox {
			m.validity = min(m.validity, uint32(1_600_000_000)+uint32(m.id))
		}
	})},
	{"a new UIDVALIDITY does not raise the ModSeq", "Living/Rename/ANewUIDValidityRaisesTheModSeq", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		if m := had[from]; m != nil && a.boxes[to] == m {
			m.modSeq = 1
		}
	})},
	{"a rename replaces what is there", "Living/Rename/I13Refuses", func(b *behaviour) {
		b.rename = func(a *account, ctx context.Context, from, to string) error {
			if from != to && a.boxes[to] != nil && a.boxes[from] != nil {
				a.store.inside(func() { a.drop(to) })
			}
			return a.Rename(ctx, from, to)
		}
	}},
	{"a mailbox can become its own child", "Living/Rename/I13Refuses", func(b *behaviour) {
		b.rename = func(a *account, ctx context.Context, from, to string) error {
			if strings.HasPrefix(to, from+storage.Separator) {
				return nil
			}
			return a.Rename(ctx, from, to)
		}
	}},
	{"a rename of INBOX takes its children along", "Living/Rename/I13InboxGivesItsMessagesAway", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		for n := range had {
			if strings.EqualFold(from, storage.Inbox) && strings.HasPrefix(n, storage.Inbox+storage.Separator) {
				a.place(to+n[len(from):], a.leave(n))
			}
		}
	})},
	{"a rename of INBOX starts its UIDs anew", "Living/Rename/I13InboxGivesItsMessagesAway Durable/Acknowledged/RenameOfInbox", renameThen(func(a *account, from, _ string, _ map[string]*mailbox) {
		if strings.EqualFold(from, storage.Inbox) {
			a.boxes[storage.Inbox].next = 1
		}
	})},
	{"a rename of INBOX keeps no tombstones", "Living/Rename/I13InboxGivesItsMessagesAway Durable/Acknowledged/RenameOfInbox", renameThen(func(a *account, from, _ string, _ map[string]*mailbox) {
		if strings.EqualFold(from, storage.Inbox) {
			a.boxes[storage.Inbox].tombs = nil
		}
	})},
}
