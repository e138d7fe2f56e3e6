package storagetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var watchTests = map[string]func(*bench){
	"TellsInTurn":        watchInTurn,
	"TellsInOrderOfMany": watchInOrder,
	"TellsOfEveryChange": func(b *bench) {
		m := b.box("x")
		w := b.watch(alice)
		m.add(1)
		w.told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq})
		b.deliver("x", storage.Target{User: alice, Mailbox: "x"})
		w.told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq})
		m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen)
		w.told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq})
		m.expunge(1)
		w.told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq})
		_, err := m.Move(b.ctx(), all(), "INBOX")
		require.NoError(b, err)
		inbox := b.box("INBOX")
		w.told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq}, storage.Change{Mailbox: inbox.ID(), ModSeq: inbox.status().HighestModSeq})
	},
	"TellsOfTheList": func(b *bench) {
		w := b.watch(alice)
		a := b.account(alice)
		list := storage.Change{}
		require.NoError(b, a.Create(b.ctx(), "x", storage.NewMailbox{}))
		w.told(list)
		require.NoError(b, a.Subscribe(b.ctx(), "x"))
		w.told(list)
		require.NoError(b, a.Unsubscribe(b.ctx(), "x"))
		w.told(list)
		require.NoError(b, a.Rename(b.ctx(), "x", "y"))
		w.told(list)
		id := b.box("y").ID()
		require.NoError(b, a.Delete(b.ctx(), "y"))
		w.told(list, storage.Change{Mailbox: id})
		b.deliver("x", storage.Target{User: alice, Mailbox: "new", Create: true})
		w.told(list, storage.Change{Mailbox: b.box("new").ID(), ModSeq: b.box("new").status().HighestModSeq})
	},
	"SaysNothingWhenNothingChanged": func(b *bench) {
		m := b.box("x")
		m.add(1, imap.FlagSeen)
		w := b.watch(alice)
		m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen)
		m.expunge(50)
		b.deliver("x", storage.Target{User: "bob@example.test"})
		require.Error(b, b.account(alice).Create(b.ctx(), "x", storage.NewMailbox{}))
		m.status()
		w.told()
	},
	"SeesTheChangeThatItIsToldOf": func(b *bench) {
		m := b.box("x")
		told := make(chan storage.Change, 100)
		defer b.account(alice).Watch(func(c storage.Change) { told <- c })()
		for i := range 20 {
			go m.Append(b.ctx(), storage.NewMessage{Body: body("x")})
			var c storage.Change
			select {
			case c = <-told:
			case <-time.After(b.patience()):
				require.Fail(b, "not told")
			}
			require.GreaterOrEqual(b, m.status().HighestModSeq, c.ModSeq)
			require.GreaterOrEqual(b, len(m.uids()), i+1)
		}
	},
	"NeverAfterStop": func(b *bench) {
		m := b.box("x")
		a := b.account(alice)
		var g sync.WaitGroup
		g.Go(func() {
			for range 100 {
				if _, err := m.Append(b.ctx(), storage.NewMessage{Body: body("x")}); err != nil {
					b.Error(err)
				}
			}
		})
		for range 50 {
			var stopped atomic.Bool
			stop := a.Watch(func(storage.Change) {
				if stopped.Load() {
					b.Error("called after stop")
				}
			})
			stop()
			stopped.Store(true)
			stop()
		}
		g.Wait()
		m.add(1)
	},
	"ManyWatchers": func(b *bench) {
		m := b.box("x")
		var n atomic.Int32
		for range 100 {
			defer b.account(alice).Watch(func(storage.Change) { n.Add(1) })()
		}
		m.add(1)
		require.EqualValues(b, 100, n.Load(), "before Append returned")
	},
}

type watch struct {
	b   *bench
	mu  sync.Mutex
	got []storage.Change
}

func (b *bench) watch(user string) *watch {
	w := &watch{b: b}
	b.Cleanup(b.account(user).Watch(func(c storage.Change) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.got = append(w.got, c)
	}))
	return w
}

// told checks what was told since the last time, in any order, repeated or
// not.
func (w *watch) told(want ...storage.Change) {
	w.b.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range want {
		require.Contains(w.b, w.got, c)
	}
	for _, c := range w.got {
		require.Contains(w.b, want, c)
	}
	w.got = nil
}
