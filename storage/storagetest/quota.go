package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// RunQuota checks the promises about quotas, on stores whose accounts have the
// power storage.Quotas.
func RunQuota(t *testing.T, open OpenWith) {
	t.Run("Quota", func(t *testing.T) {
		for name, f := range quotaTests {
			t.Run(name, func(t *testing.T) {
				b := &quotaBench{}
				b.bench = &bench{T: t, Store: open(t, func(domain string) storage.Settings {
					require.Equal(t, "example.test", domain)
					b.mu.Lock()
					defer b.mu.Unlock()
					return b.now
				}, time.Now)}
				f(b)
			})
		}
	})
}

// quotaBench is a store under test with the settings that its domain has now.
type quotaBench struct {
	*bench
	mu  sync.Mutex
	now storage.Settings
}

func (b *quotaBench) set(s storage.Settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = s
}

// quotas returns the power of alice's account.
func (b *quotaBench) quotas() storage.Quotas {
	b.Helper()
	q, ok := storage.As[storage.Quotas](b.account(alice))
	require.True(b, ok, "the account has the power Quotas")
	return q
}

func (b *quotaBench) own(q storage.Quota) {
	b.Helper()
	require.NoError(b, b.quotas().SetQuota(b.ctx(), &q))
}

func (b *quotaBench) ofBox(name string, q storage.Quota) {
	b.Helper()
	require.NoError(b, b.quotas().SetMailboxQuota(b.ctx(), name, &q))
}

func (b *quotaBench) used() storage.Quota {
	b.Helper()
	_, used, err := b.quotas().Quota(b.ctx())
	require.NoError(b, err)
	return used
}

// counted compares what the account says it holds with what its mailboxes say.
func (b *quotaBench) counted() storage.Quota {
	b.Helper()
	var sum storage.Quota
	for _, name := range b.names(b.account(alice)) {
		s := b.box(name).status()
		sum = sum.Plus(storage.Quota{Bytes: s.Size, Messages: int64(s.Messages), Mailboxes: 1})
	}
	require.Equal(b, sum, b.used())
	return sum
}

// send delivers n octets to a mailbox of alice and returns the receipt's error.
func (b *quotaBench) send(n int, name string) error {
	b.Helper()
	r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body(strings.Repeat("x", n)), Targets: []storage.Target{{User: alice, Mailbox: name, Create: true}}})
	require.NoError(b, err)
	return r[0].Err
}

func (m *box) tryAppend(sizes ...int) error {
	m.b.Helper()
	var msgs []storage.NewMessage
	for _, n := range sizes {
		msgs = append(msgs, storage.NewMessage{Body: body(strings.Repeat("x", n))})
	}
	_, err := m.Append(m.b.ctx(), msgs...)
	return err
}

var quotaTests = map[string]func(*quotaBench){
	"UsageIsWhatIsThere": func(b *quotaBench) {
		_, used, err := b.quotas().Quota(b.ctx())
		require.NoError(b, err)
		require.EqualValues(b, len(b.names(b.account(alice))), used.Mailboxes)
		b.own(storage.Quota{Bytes: 1 << 40})
		require.NoError(b, b.send(100, ""))
		m := b.box("p/q")
		m.add(3)
		_, err = m.Copy(b.ctx(), set(1, 2), "INBOX")
		require.NoError(b, err)
		b.counted()
		_, err = m.Move(b.ctx(), set(1), "p")
		require.NoError(b, err)
		m.expunge(2)
		b.counted()
		require.NoError(b, b.account(alice).Rename(b.ctx(), "INBOX", "z/old"))
		require.NoError(b, b.account(alice).Rename(b.ctx(), "p", "r"))
		b.counted()
		require.NoError(b, b.account(alice).Delete(b.ctx(), "z/old"))
		require.Equal(b, storage.Quota{Bytes: int64(len(b.box("r").text(1)) + len(b.box("r/q").text(3))), Messages: 2, Mailboxes: b.used().Mailboxes}, b.counted())
	},
	"BytesAreExactAtTheBound": func(b *quotaBench) {
		b.own(storage.Quota{Bytes: 100})
		require.NoError(b, b.send(60, ""))
		require.ErrorIs(b, b.send(41, ""), storage.ErrOverQuota)
		require.NoError(b, b.send(40, "Other"))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		m := b.box("INBOX")
		require.ErrorIs(b, m.tryAppend(1), storage.ErrOverQuota)
		require.NoError(b, m.tryAppend(0), "no octets fit always")
		_, err := m.Copy(b.ctx(), set(1), "Other")
		require.ErrorIs(b, err, storage.ErrOverQuota)
		require.EqualValues(b, 100, b.counted().Bytes)
	},
	"MessagesAreExactAtTheBound": func(b *quotaBench) {
		b.own(storage.Quota{Messages: 3})
		require.NoError(b, b.send(1, ""))
		m := b.box("INBOX")
		require.ErrorIs(b, m.tryAppend(1, 1, 1), storage.ErrOverQuota)
		require.Len(b, m.uids(), 1, "all or none")
		require.NoError(b, m.tryAppend(1, 1))
		require.ErrorIs(b, m.tryAppend(0), storage.ErrOverQuota)
		require.ErrorIs(b, b.send(0, ""), storage.ErrOverQuota)
		require.EqualValues(b, 3, b.counted().Messages)
	},
	"PrefixesCount": func(b *quotaBench) {
		b.own(storage.Quota{Bytes: 20})
		target := storage.Target{User: alice, Prefix: []byte("X: 3456789\r\n")}
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("123456789"), Targets: []storage.Target{target}})
		require.NoError(b, err)
		require.ErrorIs(b, r[0].Err, storage.ErrOverQuota)
		b.deliver("12345678", target)
		require.EqualValues(b, 20, b.counted().Bytes)
	},
	"ExpungingAndDeletingMakeRoomAgain": func(b *quotaBench) {
		b.own(storage.Quota{Messages: 2})
		m := b.box("x")
		m.add(2)
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		m.expunge(1)
		require.NoError(b, b.send(1, ""))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
		require.NoError(b, b.send(1, ""))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		b.counted()
	},
	"MovingWithinTheAccountNeedsNoRoomInIt": func(b *quotaBench) {
		m := b.box("x")
		m.add(3)
		b.own(storage.Quota{Messages: 3, Bytes: 1})
		_, err := m.Move(b.ctx(), set(1), "INBOX")
		require.NoError(b, err)
		b.ofBox("INBOX", storage.Quota{Messages: 2})
		_, err = m.Move(b.ctx(), set(2, 3), "INBOX")
		require.ErrorIs(b, err, storage.ErrOverQuota)
		require.Len(b, m.uids(), 2, "refused whole")
		_, err = m.Move(b.ctx(), set(2), "INBOX")
		require.NoError(b, err)
		_, err = b.box("INBOX").Move(b.ctx(), all(), "INBOX")
		require.NoError(b, err, "a full mailbox can be moved onto itself")
		require.EqualValues(b, 3, b.counted().Messages)
	},
	"WhatIsOverALoweredBoundStays": func(b *quotaBench) {
		m := b.box("x")
		m.add(5)
		b.own(storage.Quota{Messages: 2, Mailboxes: 1})
		require.Len(b, m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen), 1)
		m.expunge(1)
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		require.ErrorIs(b, m.tryAppend(1), storage.ErrOverQuota)
		require.ErrorIs(b, b.account(alice).Create(b.ctx(), "y", storage.NewMailbox{}), storage.ErrOverQuota)
		require.NoError(b, b.account(alice).Rename(b.ctx(), "x", "y"), "as many as before")
		require.NoError(b, b.account(alice).Subscribe(b.ctx(), "ghost"))
		require.NoError(b, b.account(alice).Unsubscribe(b.ctx(), "ghost"))
		require.Len(b, m.uids(), 4)
		m.expunge(2, 3, 4)
		require.NoError(b, b.send(1, ""))
		b.counted()
	},
	"MailboxesCount": func(b *quotaBench) {
		a := b.account(alice)
		n := int64(len(b.names(a)))
		b.own(storage.Quota{Mailboxes: n + 2})
		before := b.names(a)
		require.ErrorIs(b, a.Create(b.ctx(), "a/b/c", storage.NewMailbox{}), storage.ErrOverQuota)
		require.Equal(b, before, b.names(a), "nothing half done")
		require.ErrorIs(b, b.send(1, "a/b/c"), storage.ErrOverQuota)
		require.Equal(b, before, b.names(a))
		require.NoError(b, a.Create(b.ctx(), "a/b", storage.NewMailbox{}))
		require.ErrorIs(b, a.Rename(b.ctx(), "a/b", "d/e"), storage.ErrOverQuota, "a parent is missing")
		require.ErrorIs(b, a.Rename(b.ctx(), "INBOX", "a/inbox"), storage.ErrOverQuota, "INBOX stays as well")
		require.NoError(b, a.Rename(b.ctx(), "a/b", "d"))
		require.ErrorIs(b, a.Create(b.ctx(), "e", storage.NewMailbox{}), storage.ErrOverQuota)
		require.NoError(b, a.Delete(b.ctx(), "d"))
		require.NoError(b, b.send(1, "e"))
		require.Equal(b, n+2, b.counted().Mailboxes)
	},
	"AMailboxBoundsThoseBelowIt": func(b *quotaBench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "p/q", storage.NewMailbox{}))
		require.NoError(b, a.Create(b.ctx(), "m/n", storage.NewMailbox{}))
		b.ofBox("p", storage.Quota{Mailboxes: 3})
		require.ErrorIs(b, a.Create(b.ctx(), "p/q/r/s", storage.NewMailbox{}), storage.ErrOverQuota)
		require.ErrorIs(b, a.Rename(b.ctx(), "m", "p/m"), storage.ErrOverQuota)
		require.NoError(b, a.Create(b.ctx(), "p/q/r", storage.NewMailbox{}))
		require.NoError(b, a.Rename(b.ctx(), "p/q/r", "p/r"), "they are below it already")
		require.ErrorIs(b, a.Rename(b.ctx(), "p/r", "p/t/r"), storage.ErrOverQuota, "but this makes one more")
		require.NoError(b, a.Rename(b.ctx(), "p/q", "q"))
		require.NoError(b, a.Rename(b.ctx(), "m/n", "p/n"))
		limit, used, err := b.quotas().MailboxQuota(b.ctx(), "p")
		require.NoError(b, err)
		require.EqualValues(b, 3, limit.Mailboxes)
		require.EqualValues(b, 3, used.Mailboxes)
	},
	"AMailboxIsBoundedByItself": func(b *quotaBench) {
		b.box("x")
		b.ofBox("x", storage.Quota{Bytes: 10, Messages: 2})
		require.ErrorIs(b, b.send(11, "x"), storage.ErrOverQuota)
		require.NoError(b, b.send(10, "x"))
		require.ErrorIs(b, b.send(1, "x"), storage.ErrOverQuota)
		require.NoError(b, b.send(11, ""))
		_, err := b.box("INBOX").Copy(b.ctx(), set(1), "x")
		require.ErrorIs(b, err, storage.ErrOverQuota)
		_, err = b.box("INBOX").Copy(b.ctx(), set(99), "x")
		require.NoError(b, err, "nothing fits always")
		require.NoError(b, b.box("x").tryAppend(0))
		require.ErrorIs(b, b.box("x").tryAppend(0), storage.ErrOverQuota)
		limit, used, err := b.quotas().MailboxQuota(b.ctx(), "x")
		require.NoError(b, err)
		require.Equal(b, storage.Quota{Bytes: 10, Messages: 2}, limit)
		require.Equal(b, storage.Quota{Bytes: 10, Messages: 2, Mailboxes: 1}, used)
		_, _, err = b.quotas().MailboxQuota(b.ctx(), "none")
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.ErrorIs(b, b.quotas().SetMailboxQuota(b.ctx(), "none", nil), storage.ErrNoMailbox)
	},
	"OwnBoundsGoBeforeTheDomains": func(b *quotaBench) {
		b.set(storage.Settings{Quota: storage.Quota{Messages: 1}, MailboxQuota: storage.Quota{Bytes: 10}})
		require.ErrorIs(b, b.send(11, ""), storage.ErrOverQuota)
		require.NoError(b, b.send(10, ""))
		require.ErrorIs(b, b.send(1, "Other"), storage.ErrOverQuota)
		b.own(storage.Quota{})
		require.NoError(b, b.send(1, "Other"), "own bounds may be none")
		require.ErrorIs(b, b.send(11, "New"), storage.ErrOverQuota)
		require.NotContains(b, b.names(b.account(alice)), "New")
		b.ofBox("INBOX", storage.Quota{})
		require.NoError(b, b.send(11, ""))
		require.NoError(b, b.quotas().SetMailboxQuota(b.ctx(), "INBOX", nil))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		b.own(storage.Quota{Messages: 4})
		limit, used, err := b.quotas().Quota(b.ctx())
		require.NoError(b, err)
		require.Equal(b, storage.Quota{Messages: 4}, limit)
		require.EqualValues(b, 3, used.Messages)
		require.NoError(b, b.quotas().SetQuota(b.ctx(), nil))
		limit, _, err = b.quotas().Quota(b.ctx())
		require.NoError(b, err)
		require.Equal(b, storage.Quota{Messages: 1}, limit)
		require.ErrorIs(b, b.send(1, "Other"), storage.ErrOverQuota)
		b.set(storage.Settings{})
		require.NoError(b, b.send(100, ""), "the domain's settings may change")
		b.set(storage.Settings{Quota: storage.Quota{Messages: 4}})
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		b.counted()
	},
	"ABoundIsNotTheCallers": func(b *quotaBench) {
		q := storage.Quota{Messages: 1}
		require.NoError(b, b.quotas().SetQuota(b.ctx(), &q))
		q.Messages = 100
		require.NoError(b, b.send(1, ""))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
	},
	"ANewAccountBeginsWithItsMailboxes": func(b *quotaBench) {
		b.set(storage.Settings{Quota: storage.Quota{Mailboxes: 1, Messages: 1}, MailboxQuota: storage.Quota{Mailboxes: 1}})
		require.NoError(b, b.send(1, ""))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		require.ErrorIs(b, b.account(alice).Create(b.ctx(), "x", storage.NewMailbox{}), storage.ErrOverQuota)
		b.counted()
	},
	"TargetsOfOneAccountCountTogether": func(b *quotaBench) {
		b.own(storage.Quota{Messages: 2})
		b.box("x")
		b.ofBox("x", storage.Quota{Messages: 1})
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{
			{User: alice, Mailbox: "x"}, {User: alice, Mailbox: "x"}, {User: "bob@example.test"},
			{User: alice}, {User: alice}, {User: alice, Mailbox: "New", Create: true}, {User: alice, Mailbox: "None"},
		}})
		require.NoError(b, err)
		stored := 0
		for i, receipt := range r {
			switch {
			case i == 2:
				require.NoError(b, receipt.Err)
			case i == 6:
				require.ErrorIs(b, receipt.Err, storage.ErrNoMailbox)
			case receipt.Err == nil:
				stored++
			default:
				require.ErrorIs(b, receipt.Err, storage.ErrOverQuota)
				require.Zero(b, receipt.UID)
			}
		}
		require.Equal(b, 2, stored, "which of them is the store's choice")
		require.EqualValues(b, 2, b.counted().Messages)
		require.LessOrEqual(b, len(b.box("x").uids()), 1)
		bob, err := b.account("bob@example.test").Mailbox(b.ctx(), "INBOX")
		require.NoError(b, err)
		require.Len(b, (&box{bob, b.bench}).uids(), 1)
	},
	"WhatGoesOverIsStored": func(b *quotaBench) {
		b.set(storage.Settings{MailboxQuota: storage.Quota{Messages: 1}})
		b.own(storage.Quota{Messages: 1, Mailboxes: 1})
		require.NoError(b, b.send(1, ""))
		b.deliver("x", storage.Target{User: alice, Over: true}, storage.Target{User: alice, Mailbox: "New", Create: true, Over: true})
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		require.EqualValues(b, 3, b.counted().Messages)
	},
	"MailboxBoundsSurviveRenaming": func(b *quotaBench) {
		b.box("x/y").add(1)
		b.ofBox("x/y", storage.Quota{Messages: 1})
		b.ofBox("INBOX", storage.Quota{Messages: 2})
		require.NoError(b, b.account(alice).Rename(b.ctx(), "x", "z"))
		require.ErrorIs(b, b.box("z/y").tryAppend(1), storage.ErrOverQuota)
		b.box("INBOX").add(2)
		require.NoError(b, b.account(alice).Rename(b.ctx(), "INBOX", "old"))
		require.NoError(b, b.box("old").tryAppend(1))
		b.box("INBOX").add(2)
		require.ErrorIs(b, b.box("INBOX").tryAppend(1), storage.ErrOverQuota)
		b.set(storage.Settings{MailboxQuota: storage.Quota{Messages: 1}})
		require.ErrorIs(b, b.account(alice).Rename(b.ctx(), "INBOX", "older"), storage.ErrOverQuota)
		require.Len(b, b.box("INBOX").uids(), 2)
		require.NotContains(b, b.names(b.account(alice)), "older")
	},
	"ARemovedAccountLeavesNoBounds": func(b *quotaBench) {
		r, ok := storage.As[storage.Remover](b.Store)
		if !ok {
			b.Skip("no Remover")
		}
		b.own(storage.Quota{Messages: 1})
		old := b.quotas()
		require.NoError(b, b.send(1, ""))
		require.NoError(b, r.RemoveAccount(b.ctx(), alice))
		_, _, err := old.Quota(b.ctx())
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.ErrorIs(b, old.SetQuota(b.ctx(), nil), storage.ErrNoMailbox)
		require.NoError(b, b.send(1, ""))
		require.NoError(b, b.send(1, ""))
		b.own(storage.Quota{Messages: 3})
		require.NoError(b, b.send(1, ""))
		require.ErrorIs(b, b.send(1, ""), storage.ErrOverQuota)
		b.counted()
	},
	"WhatIsRetainedCountsForNothingUntilItIsRestored": func(b *quotaBench) {
		a, ok := storage.As[storage.Retainer](b.account(alice))
		if !ok {
			b.Skip("no Retainer")
		}
		retained := func() (ids []storage.RetainedID) {
			for k, err := range a.Retained(b.ctx()) {
				require.NoError(b, err)
				ids = append(ids, k.ID)
			}
			return ids
		}
		b.set(storage.Settings{Quota: storage.Quota{Messages: 3}, Retention: week})
		b.box("x").add(2)
		b.box("INBOX").add(1)
		b.box("x").expunge(1, 2)
		require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
		b.box("INBOX").expunge(1)
		require.Zero(b, b.counted().Messages)
		require.NoError(b, b.send(1, ""))
		ids, names := retained(), b.names(b.account(alice))
		require.Len(b, ids, 3)
		_, err := a.Restore(b.ctx(), "", ids...)
		require.ErrorIs(b, err, storage.ErrOverQuota)
		require.Equal(b, names, b.names(b.account(alice)), "nothing half done")
		require.Equal(b, ids, retained())
		b.own(storage.Quota{Mailboxes: int64(len(names))})
		_, err = a.Restore(b.ctx(), "", ids[0])
		require.ErrorIs(b, err, storage.ErrOverQuota, "its mailbox would have to be made")
		b.own(storage.Quota{Messages: 3})
		b.ofBox("INBOX", storage.Quota{Messages: 2})
		_, err = a.Restore(b.ctx(), "INBOX", ids[0], ids[1])
		require.ErrorIs(b, err, storage.ErrOverQuota)
		n, err := a.Restore(b.ctx(), "", ids[0], ids[1])
		require.NoError(b, err)
		require.Equal(b, 2, n)
		require.EqualValues(b, 3, b.counted().Messages)
		require.Equal(b, ids[2:], retained())
	},
	"RoomCanBeAskedFor": func(b *quotaBench) {
		r, ok := storage.As[storage.RoomChecker](b.Store)
		if !ok {
			b.Skip("no RoomChecker")
		}
		b.set(storage.Settings{Quota: storage.Quota{Bytes: 10}})
		require.NoError(b, r.CheckRoom(b.ctx(), "new@example.test", 10))
		require.ErrorIs(b, r.CheckRoom(b.ctx(), "new@example.test", 11), storage.ErrOverQuota)
		require.NoError(b, b.send(4, ""))
		require.NoError(b, r.CheckRoom(b.ctx(), alice, 6))
		require.ErrorIs(b, r.CheckRoom(b.ctx(), alice, 7), storage.ErrOverQuota)
		b.own(storage.Quota{Messages: 1})
		require.ErrorIs(b, r.CheckRoom(b.ctx(), alice, 0), storage.ErrOverQuota)
		b.own(storage.Quota{})
		require.NoError(b, r.CheckRoom(b.ctx(), alice, 1<<40))
	},
	"ConcurrentDeliveriesNeverExceedABound": func(b *quotaBench) {
		const bound, writers, each = 50, 8, 20
		b.own(storage.Quota{Messages: bound})
		for _, name := range []string{"a", "b", "c"} {
			b.box(name)
		}
		var wg sync.WaitGroup
		stored := make([]int, writers)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					name := []string{"a", "b", "c", "INBOX"}[(w+i)%4]
					r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body(fmt.Sprint(w, i)), Targets: []storage.Target{{User: alice, Mailbox: name}}})
					if err == nil && r[0].Err == nil {
						stored[w]++
					}
				}
			})
		}
		wg.Wait()
		sum := 0
		for _, n := range stored {
			sum += n
		}
		require.Equal(b, bound, sum, "as many as fit and no more")
		require.EqualValues(b, bound, b.counted().Messages)
	},
	"ConcurrentChangesLeaveTheUsageRight": func(b *quotaBench) {
		b.own(storage.Quota{Messages: 40, Bytes: 400})
		names := []string{"a", "b", "INBOX"}
		boxes := make([]*box, len(names))
		for i, name := range names {
			boxes[i] = b.box(name)
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 25 {
					m, other := boxes[(w+i)%3], names[(w+i+1)%3]
					_, _ = m.Append(b.ctx(), storage.NewMessage{Body: body("0123456789")})
					switch i % 4 {
					case 0:
						_, _ = m.Copy(b.ctx(), set(imap.UID(i)), other)
					case 1:
						_, _ = m.Move(b.ctx(), all(), other)
					case 2:
						_, _ = m.Expunge(b.ctx(), set(imap.UID(i), imap.UID(i+1)))
					case 3:
						_ = b.account(alice).Create(b.ctx(), fmt.Sprintf("n%d", w), storage.NewMailbox{})
						_ = b.account(alice).Delete(b.ctx(), fmt.Sprintf("n%d", (w+1)%4))
					}
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(b, b.counted().Messages, int64(40))
		require.False(b, slices.Contains(b.names(b.account(alice)), ""))
	},
}
