package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var feedTests = map[string]func(*bench){
	"ChangesComeInOrder": func(b *bench) {
		x, y := b.box("x"), b.box("y")
		f := b.feed(0)
		inTurn(b, x, y, func(c storage.Change) { require.Equal(b, c, b.next(f)) })
		b.quiet(f)
		inTurn(b, x, y, func(storage.Change) {})
		var got []storage.MailboxID
		for range 6 {
			got = append(got, b.next(f).Mailbox)
		}
		b.quiet(f)
		require.Equal(b, []storage.MailboxID{x.ID(), y.ID(), 0, 0, y.ID(), x.ID()}, got, "of each the earliest and the latest")
	},
	"ASlowSubscriberIsToldToResync": func(b *bench) {
		var boxes []*box
		for i := range 6 {
			boxes = append(boxes, b.box(fmt.Sprint("box", i)))
		}
		f := b.feed(4)
		for _, m := range boxes {
			m.add(1)
		}
		_, err := f.Next(b.ctx())
		require.ErrorIs(b, err, storage.ErrResync)
		b.quiet(f)
		boxes[3].add(1)
		require.Equal(b, storage.Change{Mailbox: boxes[3].ID(), ModSeq: boxes[3].status().HighestModSeq}, b.next(f))
		b.quiet(f)
	},
	"OneMailboxNeverOverflows": func(b *bench) {
		m := b.box("x")
		f := b.feed(2)
		before := m.status().HighestModSeq
		for range 20 {
			m.add(1)
		}
		first, last := b.next(f), b.next(f)
		require.Greater(b, first.ModSeq, before)
		require.Equal(b, storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq}, last)
		b.quiet(f)
	},
	"ASubscriberBehindManyWritersMissesNothing": func(b *bench) {
		followers := make(map[storage.MailboxID]*follower)
		for i := range 6 {
			m := b.box(fmt.Sprint("box", i))
			followers[m.ID()] = &follower{m: m, known: make(map[imap.UID]storage.Message)}
		}
		f := b.feed(3)
		ctx, cancel := context.WithCancel(b.ctx())
		var g sync.WaitGroup
		g.Go(func() { defer cancel(); write(b, followers) })
		defer g.Wait()
		for {
			c, err := f.Next(ctx)
			switch {
			case errors.Is(err, storage.ErrResync):
				for _, w := range followers {
					w.follow()
				}
				continue
			case err == nil && c.Mailbox != 0:
				followers[c.Mailbox].follow()
				continue
			case err == nil:
				continue
			}
			break
		}
		for c, err := b.now(f); !errors.Is(err, context.DeadlineExceeded); c, err = b.now(f) {
			for id, w := range followers {
				if err != nil || id == c.Mailbox {
					w.follow()
				}
			}
		}
		for _, w := range followers {
			list := w.m.list(0)
			require.Len(b, w.known, len(list))
			for _, msg := range list {
				require.Equal(b, msg, w.known[msg.UID])
			}
		}
	},
}

// feed opens a feed of alice's account.
func (b *bench) feed(bound int) *storage.Feed {
	f := storage.NewFeed(b.account(alice), bound)
	b.Cleanup(f.Close)
	return f
}

// next returns the next change, which must be there soon.
func (b *bench) next(f *storage.Feed) storage.Change {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx(), b.patience())
	defer cancel()
	c, err := f.Next(ctx)
	require.NoError(b, err)
	return c
}

// now returns what waits in a feed; context.DeadlineExceeded when nothing does.
func (b *bench) now(f *storage.Feed) (storage.Change, error) {
	ctx, cancel := context.WithTimeout(b.ctx(), time.Millisecond)
	defer cancel()
	return f.Next(ctx)
}

// quiet requires that nothing waits in a feed.
func (b *bench) quiet(f *storage.Feed) {
	b.Helper()
	c, err := b.now(f)
	require.ErrorIs(b, err, context.DeadlineExceeded, "%v", c)
}

// patience is how long a test waits for what must come: ten seconds, less when
// the tests have not much time.
func (b *bench) patience() time.Duration {
	if end, ok := b.Deadline(); ok {
		return min(10*time.Second, time.Until(end)/10)
	}
	return 10 * time.Second
}

// inTurn changes two mailboxes and the list, one after the other, and says
// after each what must be told.
func inTurn(b *bench, x, y *box, told func(storage.Change)) {
	a := b.account(alice)
	is := func(m *box) { told(storage.Change{Mailbox: m.ID(), ModSeq: m.status().HighestModSeq}) }
	x.add(2)
	is(x)
	y.add(1)
	is(y)
	require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
	told(storage.Change{})
	x.store(imap.StoreFlagsAdd, all(), imap.FlagSeen)
	is(x)
	b.deliver("x", storage.Target{User: alice, Mailbox: "y"})
	is(y)
	require.NoError(b, a.Unsubscribe(b.ctx(), "ghost"))
	told(storage.Change{})
	y.expunge(y.uids()[0])
	is(y)
	x.expunge(x.uids()[1])
	is(x)
}

// write has four sessions change the mailboxes of followers at once.
func write(b *bench, followers map[storage.MailboxID]*follower) {
	var boxes []*box
	for _, w := range followers {
		boxes = append(boxes, w.m)
	}
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 5))
			for range 60 {
				m := boxes[r.IntN(len(boxes))]
				var err error
				switch r.IntN(3) {
				case 0:
					_, err = m.Append(b.ctx(), storage.NewMessage{Body: body("x")})
				case 1:
					_, _, err = m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsOp(r.IntN(3)), Flags: storage.NewFlags(imap.FlagSeen)})
				default:
					_, err = m.Expunge(b.ctx(), set(imap.UID(1+r.IntN(10))))
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	g.Wait()
}

// watchInOrder checks what many writers' changes are told as.
func watchInOrder(b *bench) {
	followers := make(map[storage.MailboxID]*follower)
	for i := range 4 {
		m := b.box(fmt.Sprint("box", i))
		followers[m.ID()] = &follower{m: m}
	}
	var inside atomic.Int32
	last := make(map[storage.MailboxID]uint64) // written by notify alone, since calls don't overlap
	stop := b.account(alice).Watch(func(c storage.Change) {
		if inside.Add(1) > 1 {
			b.Error("two calls at a time")
		}
		if c.ModSeq <= last[c.Mailbox] {
			b.Errorf("mailbox %d: ModSeq %d told after %d", c.Mailbox, c.ModSeq, last[c.Mailbox])
		}
		last[c.Mailbox] = c.ModSeq
		inside.Add(-1)
	})
	write(b, followers)
	stop()
	for id, w := range followers {
		require.Equal(b, w.m.status().HighestModSeq, last[id])
	}
}

// watchInTurn checks that changes made one after the other are told so.
func watchInTurn(b *bench) {
	x, y := b.box("x"), b.box("y")
	w := b.watch(alice)
	var want []storage.Change
	inTurn(b, x, y, func(c storage.Change) { want = append(want, c) })
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(b, want, w.got)
}
