package storagetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

const bob = "bob@example.test"

// watcher finds the power to watch a whole store, or skips the test.
func (b *bench) watcher() storage.Watcher {
	w, ok := storage.As[storage.Watcher](b.Store)
	if !ok {
		b.Skip("no Watcher")
	}
	return w
}

// watchAll follows the whole store.
func (b *bench) watchAll() *watchAll {
	w := &watchAll{b: b}
	b.Cleanup(b.watcher().WatchAll(func(user string, c storage.Change) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.got = append(w.got, storage.UserChange{User: user, Change: c})
	}))
	return w
}

type watchAll struct {
	b   *bench
	mu  sync.Mutex
	got []storage.UserChange
}

// take returns what was told since the last time, repetitions in a row left
// out.
func (w *watchAll) take() (got []storage.UserChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.got {
		if len(got) == 0 || got[len(got)-1] != c {
			got = append(got, c)
		}
	}
	w.got = nil
	return got
}

// told checks what was told since the last time.
func (w *watchAll) told(want ...storage.UserChange) {
	w.b.Helper()
	require.ElementsMatch(w.b, want, w.take())
}

// of is the last change of a mailbox of alice.
func (m *box) of() storage.UserChange {
	return storage.UserChange{User: alice, Change: storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq}}
}

func watchAllTellsWhoseChangeItIs(b *bench) {
	w := b.watchAll()
	list := storage.UserChange{User: alice}
	a := b.account(alice)
	require.Contains(b, w.take(), list, "an account was made")
	m, other := b.box("x"), b.box("y")
	w.told(list)
	m.add(3)
	w.told(m.of())
	m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen)
	w.told(m.of())
	m.expunge(2)
	w.told(m.of())
	_, err := m.Copy(b.ctx(), set(1), "y")
	require.NoError(b, err)
	w.told(other.of())
	_, err = m.Move(b.ctx(), set(1), "y")
	require.NoError(b, err)
	w.told(m.of(), other.of())
	require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
	w.told(list)
	require.NoError(b, a.Rename(b.ctx(), "x", "z"))
	w.told(list)
	b.box("INBOX").add(1)
	w.take()
	require.NoError(b, a.Rename(b.ctx(), "INBOX", "old"))
	require.Subset(b, w.take(), []storage.UserChange{list, b.box("INBOX").of(), b.box("old").of()})
	require.NoError(b, a.Delete(b.ctx(), "z"))
	w.told(list, storage.UserChange{User: alice, Change: storage.Change{Mailbox: m.ID()}})
}

func watchAllTellsOfDeliveries(b *bench) {
	b.account(alice)
	w := b.watchAll()
	r := b.deliver("x", storage.Target{User: alice}, storage.Target{User: bob}, storage.Target{User: alice, Mailbox: "New", Create: true})
	got := w.take()
	require.Subset(b, got, []storage.UserChange{{User: alice}, {User: bob}, b.box("INBOX").of(), b.box("New").of()})
	i := 0
	for _, c := range got {
		if c.Mailbox == r[1].Mailbox {
			require.Equal(b, bob, c.User)
			i++
		}
	}
	require.Equal(b, 1, i)
	b.deliver("x", storage.Target{User: alice}, storage.Target{User: bob})
	require.Len(b, w.take(), 2)
}

func watchAllTellsOfRemovedAccounts(b *bench) {
	r, ok := storage.As[storage.Remover](b.Store)
	if !ok {
		b.Skip("no Remover")
	}
	m := b.box("x")
	w := b.watchAll()
	require.NoError(b, r.RemoveAccount(b.ctx(), alice))
	require.Subset(b, w.take(), []storage.UserChange{{User: alice}, {User: alice, Change: storage.Change{Mailbox: m.ID()}}})
	fresh := b.box("x")
	w.take()
	fresh.add(1)
	w.told(fresh.of())
}

// watchAllIsInOrder has many write and checks what is told.
func watchAllIsInOrder(b *bench) {
	var inside atomic.Int32
	type of struct {
		user    string
		mailbox storage.MailboxID
	}
	last := make(map[of]uint64)
	stop := b.watcher().WatchAll(func(user string, c storage.Change) {
		if inside.Add(1) > 1 {
			b.Error("two calls at a time")
		}
		at := of{user, c.Mailbox}
		if c.Mailbox != 0 && c.ModSeq <= last[at] {
			b.Errorf("%s: mailbox %d: ModSeq %d told after %d", user, c.Mailbox, c.ModSeq, last[at])
		}
		last[at] = c.ModSeq
		inside.Add(-1)
	})
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			for i := range 40 {
				_, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: fmt.Sprint("user", i%5)}, {User: fmt.Sprint("user", w)}}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	g.Wait()
	stop()
	for i := range 5 {
		user := fmt.Sprint("user", i)
		m, err := b.account(user).Mailbox(b.ctx(), "INBOX")
		require.NoError(b, err)
		require.Equal(b, (&box{m, b}).status().HighestModSeq, last[of{user, m.ID()}])
	}
}

func watchAllEndsWithStop(b *bench) {
	m := b.box("x")
	var stopped atomic.Bool
	stop := b.watcher().WatchAll(func(string, storage.Change) {
		if stopped.Load() {
			b.Error("called after stop")
		}
	})
	m.add(1)
	stop()
	stopped.Store(true)
	stop()
	m.add(1)
}

func storeFeedFollowsAllAccounts(b *bench) {
	m := b.box("x")
	b.account(bob)
	f := storage.NewStoreFeed(b.watcher(), 0)
	b.Cleanup(f.Close)
	m.add(1)
	r := b.deliver("x", storage.Target{User: bob})
	c, err := f.Next(b.ctx())
	require.NoError(b, err)
	require.Equal(b, m.of(), c)
	c, err = f.Next(b.ctx())
	require.NoError(b, err)
	require.Equal(b, bob, c.User)
	require.Equal(b, r[0].Mailbox, c.Mailbox)
}
