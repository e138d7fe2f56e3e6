package memory

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// watchWith changes what watchers are told.
func watchWith(f func(a *account, c storage.Change, tell func(storage.Change))) func(*behaviour) {
	return func(b *behaviour) {
		b.watch = func(a *account, notify func(storage.Change)) func() {
			return a.Watch(func(c storage.Change) { f(a, c, notify) })
		}
	}
}

var watchFaults = []fault{
	{"watchers are told before a change can be seen", "Living/Watch/SeesTheChangeThatItIsToldOf", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			m.account.store.inside(func() { m.account.notify(storage.Change{Mailbox: m.id, ModSeq: m.modSeq + 1}) })
			time.Sleep(5 * time.Millisecond)
			return m.Append(ctx, msgs...)
		}
	}},
	{"watchers are told of the list only", "Living/Watch/TellsOfEveryChange Living/Watch/TellsInOrderOfMany Living/Watch/SeesTheChangeThatItIsToldOf Living/Feed/OneMailboxNeverOverflows", watchWith(func(_ *account, c storage.Change, tell func(storage.Change)) {
		if c.Mailbox == 0 {
			tell(c)
		}
	})},
	{"watchers miss expunges", "Living/Watch/TellsOfEveryChange Living/Watch/TellsInTurn", watchWith(func(a *account, c storage.Change, tell func(storage.Change)) {
		for _, m := range a.boxes {
			if n := len(m.tombs); m.id == c.Mailbox && n > 0 && m.tombs[n-1].modSeq == c.ModSeq {
				return
			}
		}
		tell(c)
	})},
	{"watchers miss subscriptions", "Living/Watch/TellsOfTheList", func(b *behaviour) {
		b.subscribe = func(a *account, ctx context.Context, name string) (err error) {
			if name, err = storage.CleanName(name); err == nil {
				err = ctx.Err()
			}
			if err == nil {
				a.store.inside(func() { a.subs[name] = true })
			}
			return err
		}
	}},
	{"watchers miss that a mailbox was deleted", "Living/Watch/TellsOfTheList Living/Powers/RemoveAccount", watchWith(func(_ *account, c storage.Change, tell func(storage.Change)) {
		if c.Mailbox == 0 || c.ModSeq > 0 {
			tell(c)
		}
	})},
	{"watchers are told another ModSeq", "Living/Watch/TellsOfEveryChange Living/Feed/ChangesComeInOrder", watchWith(func(_ *account, c storage.Change, tell func(storage.Change)) {
		c.ModSeq += min(c.ModSeq, 1)
		tell(c)
	})},
	{"watchers are told late and in any order", "Living/Watch/TellsInTurn Living/Watch/ManyWatchers", watchWith(func(_ *account, c storage.Change, tell func(storage.Change)) {
		go func() {
			time.Sleep(time.Duration(10-c.ModSeq%10) * time.Millisecond)
			tell(c)
		}()
	})},
	{"watchers are told of every second change before the first", "Living/Watch/TellsInTurn Living/Watch/TellsInOrderOfMany", func(b *behaviour) {
		b.watch = func(a *account, notify func(storage.Change)) func() {
			var held []storage.Change
			return a.Watch(func(c storage.Change) {
				if held = append(held, c); len(held) == 2 {
					notify(held[1])
					notify(held[0])
					held = nil
				}
			})
		}
	}},
	{"only one watcher is told", "Living/Watch/ManyWatchers", func(b *behaviour) {
		b.watch = func(a *account, notify func(storage.Change)) func() {
			if len(a.watchers) > 0 {
				return func() {}
			}
			return a.Watch(notify)
		}
	}},
	{"watchers are told after they stopped", "Living/Watch/NeverAfterStop", func(b *behaviour) {
		b.watch = func(a *account, notify func(storage.Change)) func() {
			a.Watch(notify)
			return func() {}
		}
	}},
	{"watchers are told of what did not happen", "Living/Watch/SaysNothingWhenNothingChanged", func(b *behaviour) {
		b.status = func(m *mailbox, ctx context.Context) (storage.Status, error) {
			m.account.store.inside(func() { m.account.notify(storage.Change{Mailbox: m.id, ModSeq: m.modSeq}) })
			return m.Status(ctx)
		}
	}},
	{"who watches a store is told the wrong user", "Living/Powers/WatchAllTellsOfDeliveries Living/Powers/AStoreFeedFollowsAllAccounts", func(b *behaviour) {
		b.watchAll = func(s *Store, notify func(string, storage.Change)) func() {
			last := ""
			return s.WatchAll(func(user string, c storage.Change) {
				notify(last, c)
				last = user
			})
		}
	}},
	{"who watches a store misses accounts made later", "Living/Powers/WatchAllTellsWhoseChangeItIs Living/Powers/WatchAllTellsOfDeliveries Living/Powers/WatchAllIsInOrder", func(b *behaviour) {
		b.watchAll = func(s *Store, notify func(string, storage.Change)) func() {
			there := make(map[string]bool)
			for user := range s.accounts {
				there[user] = true
			}
			return s.WatchAll(func(user string, c storage.Change) {
				if there[user] {
					notify(user, c)
				}
			})
		}
	}},
	{"who watches a store misses that an account was removed", "Living/Powers/WatchAllTellsOfRemovedAccounts", func(b *behaviour) {
		b.watchAll = func(s *Store, notify func(string, storage.Change)) func() {
			return s.WatchAll(func(user string, c storage.Change) {
				if a := s.accounts[user]; a != nil && !a.gone {
					notify(user, c)
				}
			})
		}
	}},
	{"who watches a store is told after stopping", "Living/Powers/WatchAllEndsWithStop", func(b *behaviour) {
		b.watchAll = func(s *Store, notify func(string, storage.Change)) func() {
			s.WatchAll(notify)
			return func() {}
		}
	}},
}
