package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var concurrentTests = map[string]func(*bench){
	"ChangesAreSeenWhole": changesAreSeenWhole,
	"I20FlagsOfManySessionsUnite": func(b *bench) {
		m := b.box("x")
		uid := m.add(1)[0]
		var g sync.WaitGroup
		want := []imap.Flag{imap.FlagSeen}
		for i := range 50 {
			f := imap.Flag(fmt.Sprintf("k%d", i))
			want = append(want, f)
			g.Go(func() {
				_, _, err := m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: set(uid), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(f, imap.FlagSeen)})
				if err != nil {
					b.Error(err)
				}
			})
		}
		g.Wait()
		require.True(b, m.message(uid).Flags.Equal(storage.NewFlags(want...)), "%v", m.message(uid).Flags.Names())
		m.check()
	},
	"DeliveriesToManyMailboxes": func(b *bench) {
		var g sync.WaitGroup
		for w := range 8 {
			g.Go(func() {
				for i := range 40 {
					_, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body(fmt.Sprintf("Subject: %d/%d\r\n\r\n", w, i)), Targets: []storage.Target{
						{User: fmt.Sprintf("user%d", i%5)}, {User: fmt.Sprintf("user%d", w), Mailbox: fmt.Sprintf("box%d", i%3), Create: true},
					}})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		g.Wait()
		total := 0
		for i := range 8 {
			a := b.account(fmt.Sprintf("user%d", i))
			for _, n := range b.names(a) {
				m, err := a.Mailbox(b.ctx(), n)
				require.NoError(b, err)
				bx := &box{m, b}
				bx.check()
				total += len(bx.uids())
				for at, uid := range bx.uids() {
					require.EqualValues(b, at+1, uid, "no UID is passed over")
				}
			}
		}
		require.Equal(b, 8*40*2, total)
	},
	"UIDsOfOneMailboxNeverRepeat": func(b *bench) {
		m := b.box("x")
		var mu sync.Mutex
		seen := make(map[imap.UID]bool)
		var g sync.WaitGroup
		for range 8 {
			g.Go(func() {
				for range 40 {
					r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: alice, Mailbox: "x"}}})
					if err != nil || r[0].Err != nil {
						b.Error(err, r)
						return
					}
					mu.Lock()
					if seen[r[0].UID] {
						b.Errorf("UID %d given twice", r[0].UID)
					}
					seen[r[0].UID] = true
					mu.Unlock()
					if _, err := m.Expunge(b.ctx(), set(r[0].UID)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		g.Wait()
		require.Len(b, seen, 320)
		require.Empty(b, m.uids())
		require.Equal(b, imap.UIDSet{{Start: 1, Stop: 320}}, m.expunged(0))
		m.check()
	},
	"ASessionThatFollowsMissesNothing": func(b *bench) {
		m := b.box("x")
		done := make(chan struct{})
		var g sync.WaitGroup
		for w := range 4 {
			g.Go(func() { churn(b, m, uint64(w)) })
		}
		go func() { g.Wait(); close(done) }()
		defer g.Wait()
		f := follower{m: m, known: make(map[imap.UID]storage.Message)}
		wake := make(chan struct{}, 1)
		defer b.account(alice).Watch(func(storage.Change) {
			select {
			case wake <- struct{}{}:
			default:
			}
		})()
		for running := true; running; {
			select {
			case <-wake:
			case <-done:
				running = false
			}
			f.follow()
		}
		list := m.list(0)
		require.Len(b, f.known, len(list))
		for _, msg := range list {
			require.Equal(b, msg, f.known[msg.UID])
		}
		m.check()
	},
	"TreesChangeWhileMailArrives": func(b *bench) {
		var g sync.WaitGroup
		a := b.account(alice)
		for w := range 4 {
			g.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 1))
				for range 60 {
					n := fmt.Sprintf("t%d", r.IntN(4))
					var err error
					switch r.IntN(4) {
					case 0:
						err = a.Create(b.ctx(), n, storage.NewMailbox{})
					case 1:
						err = a.Delete(b.ctx(), n)
					case 2:
						err = a.Rename(b.ctx(), n, fmt.Sprintf("t%d", r.IntN(4)))
					default:
						_, err = b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: alice, Mailbox: n, Create: true}, {User: alice, Mailbox: n}}})
					}
					if err != nil && !errors.Is(err, storage.ErrNoMailbox) && !errors.Is(err, storage.ErrMailboxExists) {
						b.Error(err)
					}
				}
			})
		}
		g.Wait()
		ids := make(map[storage.MailboxID]bool)
		for _, i := range b.infos(a) {
			if i.ID == 0 {
				continue
			}
			require.False(b, ids[i.ID])
			ids[i.ID] = true
			bx := b.box(i.Name)
			require.Equal(b, i.ID, bx.ID())
			bx.check()
			for _, uid := range bx.uids() {
				require.Equal(b, "x", bx.text(uid))
			}
		}
	},
	"CopiesAndMovesKeepEveryMessage": func(b *bench) {
		boxes := []*box{b.box("a"), b.box("b"), b.box("c")}
		for _, m := range boxes {
			m.add(10)
		}
		var g sync.WaitGroup
		for w := range 6 {
			g.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 2))
				for range 20 {
					from, to := r.IntN(3), string(rune('a'+r.IntN(3)))
					if _, err := boxes[from].Move(b.ctx(), all(), to); err != nil {
						b.Error(err)
					}
				}
			})
		}
		g.Wait()
		total := 0
		for _, m := range boxes {
			m.check()
			total += len(m.uids())
		}
		require.Equal(b, 30, total)
	},
}

// churn adds, flags and expunges messages.
func churn(b *bench, m *box, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range 60 {
		var err error
		uid := imap.UID(1 + r.IntN(100))
		switch r.IntN(4) {
		case 0, 1:
			_, err = m.Append(b.ctx(), storage.NewMessage{Body: body("x")}, storage.NewMessage{Body: body("y")})
		case 2:
			_, _, err = m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: imap.UIDSet{{Start: uid, Stop: uid + 20}}, Op: imap.StoreFlagsOp(r.IntN(3)), Flags: storage.NewFlags(imap.FlagSeen, imap.Flag(fmt.Sprint("k", r.IntN(5))))})
		default:
			_, err = m.Expunge(b.ctx(), set(uid))
		}
		if err != nil {
			b.Error(err)
		}
	}
}

// follower keeps a mailbox's messages as a session does.
type follower struct {
	m     *box
	since uint64
	known map[imap.UID]storage.Message
}

func (f *follower) follow() {
	for {
		// What happens between the two questions is asked for again next time.
		next := f.m.status().HighestModSeq
		if next == f.since {
			return
		}
		for _, msg := range f.m.list(f.since) {
			f.known[msg.UID] = msg
		}
		gone := f.m.expunged(f.since)
		for uid := range f.known {
			if slices.ContainsFunc(gone, func(r imap.UIDRange) bool { return r.Start <= uid && uid <= r.Stop }) {
				delete(f.known, uid)
			}
		}
		f.since = next
	}
}
