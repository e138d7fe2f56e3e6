package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// wholeTests cut the power while changes are under way: each is there whole or
// not at all, and what was seen or acknowledged before is there.
var wholeTests = map[string]func(*plug){
	"Deliveries": func(p *plug) {
		p.whole(func(ctx context.Context, w *work, i int) error {
			text := fmt.Sprint("delivery ", i)
			w.begin(text)
			_, err := w.Deliver(ctx, &storage.Delivery{Body: body(text), Targets: []storage.Target{
				{User: alice, Mailbox: "one", Create: true}, {User: alice, Mailbox: "two", Create: true}, {User: bob},
			}})
			if err == nil {
				w.acknowledge(text)
			}
			return err
		}, func(w *work) {
			one := p.box("one").texts()
			require.ElementsMatch(p, one, p.box("two").texts())
			m, err := p.account(bob).Mailbox(p.ctx(), "INBOX")
			require.NoError(p, err)
			require.ElementsMatch(p, one, (&box{m, p.bench}).texts())
			w.check(one)
			p.box("one").check()
		})
	},
	"Appends": func(p *plug) {
		p.box("x")
		p.whole(func(ctx context.Context, w *work, i int) error {
			m, err := w.mailbox(ctx, "x")
			if err != nil {
				return err
			}
			var msgs []storage.NewMessage
			for j := range 3 {
				text := fmt.Sprintf("append %d %d", i, j)
				w.begin(text)
				msgs = append(msgs, storage.NewMessage{Body: body(text)})
			}
			if _, err = m.Append(ctx, msgs...); err == nil {
				w.acknowledge(fmt.Sprintf("append %d 0", i))
			}
			return err
		}, func(w *work) {
			texts := p.open("x").texts()
			for i := 0; i < len(texts); i += 3 {
				first, ok := strings.CutSuffix(texts[i], " 0")
				require.True(p, ok, "%q is not the first of three", texts[i])
				require.Equal(p, []string{first + " 0", first + " 1", first + " 2"}, texts[i:min(i+3, len(texts))])
			}
			w.check(texts)
			p.open("x").check()
		})
	},
	"WhatWasSeen": func(p *plug) {
		p.box("x")
		var seen []imap.UID
		p.whole(func(ctx context.Context, w *work, _ int) error {
			m, err := w.mailbox(ctx, "x")
			if err != nil {
				return err
			}
			stored := make(chan error, 1)
			go func() {
				_, err := m.Append(ctx, storage.NewMessage{Body: body("x")})
				stored <- err
			}()
			for {
				list, err := uidsOf(ctx, m)
				if err != nil {
					return errors.Join(err, <-stored)
				}
				w.during(func() {
					if len(list) > len(seen) { // another may have looked later
						seen = list
					}
				})
				select {
				case err := <-stored:
					return err
				default:
					runtime.Gosched() // or the cut comes late
				}
			}
		}, func(*work) {
			require.Subset(p, p.open("x").uids(), seen)
		})
	},
	"Moves": func(p *plug) {
		p.box("right")
		left := p.box("left")
		left.add(12)
		texts := left.texts()
		p.whole(func(ctx context.Context, w *work, i int) error {
			m, err := w.mailbox(ctx, []string{"left", "right"}[i%2])
			if err == nil {
				_, err = m.Move(ctx, all(), []string{"right", "left"}[i%2])
			}
			return err
		}, func(*work) {
			require.ElementsMatch(p, texts, append(p.open("left").texts(), p.open("right").texts()...))
			p.open("left").check()
			p.open("right").check()
		})
	},
	"FlagsOfManyMessages": func(p *plug) {
		p.box("x").add(20)
		p.whole(func(ctx context.Context, w *work, i int) error {
			m, err := w.mailbox(ctx, "x")
			if err == nil {
				_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsSet, Flags: storage.NewFlags(imap.FlagSeen, imap.Flag(fmt.Sprint("k", i)))})
			}
			return err
		}, func(*work) {
			list := p.open("x").list(0)
			for _, msg := range list {
				require.Equal(p, list[0].Flags.Names(), msg.Flags.Names())
				require.Equal(p, list[0].ModSeq, msg.ModSeq)
			}
			p.open("x").check()
		})
	},
	"Renames": func(p *plug) {
		p.box("p/child").add(1)
		id := p.box("p").ID()
		p.whole(func(ctx context.Context, w *work, i int) error {
			a, err := w.Account(ctx, alice)
			if err == nil {
				err = a.Rename(ctx, []string{"p", "q"}[i%2], []string{"q", "p"}[i%2])
			}
			if errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrMailboxExists) {
				err = nil // another did it
			}
			return err
		}, func(*work) {
			var names []string
			for _, n := range p.names(p.account(alice)) {
				if n[0] == 'p' || n[0] == 'q' {
					names = append(names, n)
				}
			}
			require.Len(p, names, 2, "%v", names)
			require.Equal(p, names[0]+"/child", names[1])
			require.Equal(p, id, p.open(names[0]).ID())
			require.Len(p, p.open(names[1]).texts(), 1)
		})
	},
}

func uidsOf(ctx context.Context, m storage.Mailbox) (list []imap.UID, err error) {
	for msg, err := range m.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		list = append(list, msg.UID)
	}
	return list, nil
}

// work is what several do to a store when its power is cut.
type work struct {
	storage.Store
	p     *plug
	mu    sync.Mutex
	cut   bool // what happens from now on doesn't count
	begun map[string]bool
	acked map[string]bool
}

// during does f unless the power was cut. It reports whether it did.
func (w *work) during(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		f()
	}
	return !w.cut
}

func (w *work) begin(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[text] = true
}

func (w *work) acknowledge(text string) { w.during(func() { w.acked[text] = true }) }

func (w *work) mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	a, err := w.Account(ctx, alice)
	if err != nil {
		return nil, err
	}
	return a.Mailbox(ctx, name)
}

// whole lets four sessions do something until the power is cut, and checks what
// is left; several times.
func (p *plug) whole(do func(ctx context.Context, w *work, i int) error, check func(*work)) {
	r := rand.New(rand.NewPCG(1, 2))
	w := &work{p: p, begun: make(map[string]bool), acked: make(map[string]bool)}
	var next atomic.Int64
	for range 6 {
		w.Store, w.cut = p.Store, false
		ctx, cancel := context.WithCancel(p.ctx())
		enough, until := make(chan struct{}), next.Load()+int64(1+r.IntN(25))
		var g sync.WaitGroup
		for range 4 {
			g.Go(func() {
				for late := 0; late < 20 && ctx.Err() == nil; { // some go on while the power goes
					i := next.Add(1)
					if i == until {
						close(enough)
					}
					err := do(ctx, w, int(i))
					counts := w.during(func() {
						if err != nil {
							p.Error(err)
							cancel()
						}
					})
					if !counts {
						late++
					}
				}
			})
		}
		select {
		case <-enough:
		case <-ctx.Done():
		}
		time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) // the moment of the cut
		w.during(func() { w.cut = true })
		p.cut()
		cancel()
		g.Wait()
		check(w)
	}
}

// check compares what is there with what was begun and acknowledged.
func (w *work) check(texts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[string]bool)
	for _, text := range texts {
		require.False(w.p, there[text], "%q is there twice", text)
		there[text] = true
		require.True(w.p, w.begun[text], "%q was never stored", text)
	}
	require.Subset(w.p, slices.Collect(maps.Keys(there)), slices.Collect(maps.Keys(w.acked)))
}
