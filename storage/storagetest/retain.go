package storagetest

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// OpenWith makes an empty store with settings for the domains of accounts and a
// clock of its own. It is closed by t.Cleanup.
type OpenWith func(t *testing.T, settings func(domain string) storage.Settings, now func() time.Time) storage.Store

// RunRetain checks the promises of the powers Retainer, Purger and SaveDater.
// The store must have all of them.
func RunRetain(t *testing.T, open OpenWith) {
	for name, f := range retainTests {
		t.Run(name, func(t *testing.T) {
			c := &clock{time: noon}
			b := &retainBench{bench{T: t}, c}
			b.Store = open(t, settingsOf, c.now)
			f(b)
		})
	}
}

// settingsOf keeps for a week and purges in example.test, and does neither
// elsewhere.
func settingsOf(domain string) storage.Settings {
	if domain != "example.test" {
		return storage.Settings{}
	}
	return storage.Settings{Retention: week, Purge: []storage.Purge{
		{Attr: imap.MailboxAttrTrash, Age: 30 * day}, {Attr: imap.MailboxAttrJunk, Age: 20 * day}, {Attr: imap.MailboxAttrSent},
	}}
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// clock is a clock that stands still until it is moved.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

type retainBench struct {
	bench
	*clock
}

func (b *retainBench) retainer(user string) storage.Retainer {
	b.Helper()
	r, ok := storage.As[storage.Retainer](b.account(user))
	require.True(b, ok, "an account is a Retainer")
	return r
}

func (b *retainBench) retained(user string) (list []storage.Retained) {
	b.Helper()
	for k, err := range b.retainer(user).Retained(b.ctx()) {
		require.NoError(b, err)
		list = append(list, k)
	}
	return list
}

func idsOf(list []storage.Retained) (ids []storage.RetainedID) {
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return ids
}

func (b *retainBench) restore(dest string, ids ...storage.RetainedID) int {
	b.Helper()
	n, err := b.retainer(alice).Restore(b.ctx(), dest, ids...)
	require.NoError(b, err)
	return n
}

func (b *retainBench) purge() int {
	b.Helper()
	p, ok := storage.As[storage.Purger](b.Store)
	require.True(b, ok, "the store is a Purger")
	n, err := p.Purge(b.ctx())
	require.NoError(b, err)
	return n
}

func (b *retainBench) saveDates(m *box, set imap.UIDSet) (list []storage.SaveDate) {
	b.Helper()
	d, ok := storage.As[storage.SaveDater](m.Mailbox)
	require.True(b, ok, "a mailbox is a SaveDater")
	for x, err := range d.SaveDates(b.ctx(), set) {
		require.NoError(b, err)
		list = append(list, x)
	}
	return list
}

func (b *retainBench) openRetained(id storage.RetainedID) string {
	b.Helper()
	c, err := b.retainer(alice).OpenRetained(b.ctx(), id)
	require.NoError(b, err)
	defer c.Close()
	text, err := io.ReadAll(message.NewReader(c))
	require.NoError(b, err)
	return string(text)
}

var retainTests = map[string]func(*retainBench){
	"ExpungedComesBackAsItWas":        expungedComesBack,
	"ManyComeBackInTheirOrder":        manyComeBack,
	"DeletedMailboxComesBack":         deletedComesBack,
	"KindOfADeletedMailboxComesBack":  kindComesBack,
	"IntoAnotherMailbox":              intoAnother,
	"IsGoneAtItsTime":                 goneAtItsTime,
	"CountersAreThoseOfAnyExpunge":    countersOfExpunge,
	"MoveAndRenameRetainNothing":      moveRetainsNothing,
	"WithoutRetentionNothingIsKept":   withoutRetention,
	"Discard":                         discard,
	"RefusedRestoreChangesNothing":    refusedRestore,
	"RemovedAccountLeavesNothing":     removedAccount,
	"PurgeIsByUseAndSaveDate":         purgeByUse,
	"PurgedComesBackAndIsYoungAgain":  purgedComesBack,
	"MovingStartsTheAgeAnew":          movingStartsAnew,
	"SaveDates":                       saveDates,
	"CopiesAreRetainedOneByOne":       copiesOneByOne,
	"RetainedCanBeReadWhileItChanges": readWhileChanging,
}

func expungedComesBack(b *retainBench) {
	r := b.deliver("Subject: x\r\n\r\nbody\r\n", storage.Target{
		User: alice, Mailbox: "a/ä", Create: true, Flags: storage.NewFlags(imap.FlagSeen, "$Label"), Prefix: []byte("Return-Path: <>\r\n"),
	})
	m := b.box("a/ä")
	m.store(imap.StoreFlagsAdd, all(), imap.FlagDeleted, imap.FlagFlagged, "late")
	was := m.message(r[0].UID)
	b.pass(time.Hour)
	m.expunge(r[0].UID)
	list := b.retained(alice)
	require.Len(b, list, 1)
	k := list[0]
	require.Equal(b, "a/ä", k.Mailbox)
	require.Equal(b, storage.Mail, k.Kind)
	require.True(b, k.Expunged.Equal(noon.Add(time.Hour)), k.Expunged)
	require.True(b, k.Until.Equal(noon.Add(time.Hour+week)), k.Until)
	require.Equal(b, was, k.Message)
	require.Equal(b, "Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n", b.openRetained(k.ID))

	before := m.status()
	require.Equal(b, 1, b.restore("", k.ID))
	back := m.list(before.HighestModSeq)
	require.Len(b, back, 1)
	require.Equal(b, before.UIDNext, back[0].UID, "a UID is never given twice")
	require.Equal(b, storage.NewFlags(imap.FlagSeen, imap.FlagFlagged, "$Label", "late").Names(), back[0].Flags.Names())
	require.Equal(b, was.Date, back[0].Date)
	require.Equal(b, was.Size, back[0].Size)
	require.Equal(b, "Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n", m.text(back[0].UID))
	index, err := m.Index(b.ctx(), back[0].UID)
	require.NoError(b, err)
	require.NotNil(b, index)
	m.check()
	require.Empty(b, b.retained(alice))
	require.Zero(b, b.restore("", k.ID), "it is retained no more")
	_, err = b.retainer(alice).OpenRetained(b.ctx(), k.ID)
	require.ErrorIs(b, err, storage.ErrNoMessage)
}

func manyComeBack(b *retainBench) {
	x, y := b.box("x"), b.box("y")
	x.add(200)
	y.add(3)
	x.store(imap.StoreFlagsAdd, set(7, 70, 150), imap.FlagAnswered)
	x.expunge(150, 7, 9)
	y.expunge(2)
	removed, err := x.Expunge(b.ctx(), all())
	require.NoError(b, err)
	require.NotEmpty(b, removed)
	list := b.retained(alice)
	require.Len(b, list, 201)
	for i := range list[1:] {
		require.NotEqual(b, list[i].ID, list[i+1].ID)
		require.False(b, list[i+1].Expunged.Before(list[i].Expunged))
	}
	require.Equal(b, []imap.UID{7, 9, 150, 2, 1}, []imap.UID{list[0].UID, list[1].UID, list[2].UID, list[3].UID, list[4].UID})
	ids := idsOf(list)
	slices.Reverse(ids)
	require.Equal(b, 201, b.restore("", append(ids, ids[0], 1<<60)...), "each once")
	back := x.list(0)
	require.Len(b, back, 200)
	require.EqualValues(b, 201, back[0].UID)
	require.True(b, back[0].Flags.Has(storage.Answered), "UID 7 was expunged first")
	require.False(b, back[1].Flags.Has(storage.Answered))
	require.True(b, back[2].Flags.Has(storage.Answered))
	require.Equal(b, []imap.UID{1, 3, 4}, y.uids())
	x.check()
	y.check()
	require.Empty(b, b.retained(alice))
}

func deletedComesBack(b *retainBench) {
	m := b.box("gone/deep")
	m.add(150)
	b.deliver("Subject: last\r\n\r\nlast\r\n", storage.Target{User: alice, Mailbox: "gone/deep", Prefix: []byte("X: y\r\n")})
	m.store(imap.StoreFlagsSet, set(3, 151), imap.FlagFlagged, "word")
	m.expunge(5)
	wants := m.list(0)
	texts := []string{m.text(1), m.text(151)}
	require.NoError(b, b.account(alice).Delete(b.ctx(), "gone/deep"))
	require.NoError(b, b.account(alice).Delete(b.ctx(), "gone"))
	b.box("other").add(1)
	b.box("other").expunge(1)
	list := b.retained(alice)
	require.Len(b, list, 152)
	require.EqualValues(b, 5, list[0].UID, "expunged before the mailbox was deleted")
	require.Equal(b, "other", list[151].Mailbox, "and this after it")
	for i, k := range list[1:151] {
		require.Equal(b, "gone/deep", k.Mailbox)
		require.Equal(b, wants[i], k.Message)
		require.True(b, k.Expunged.Equal(noon))
	}
	require.Equal(b, 150, b.restore("", idsOf(list)[1:151]...))
	back := b.box("gone/deep")
	require.NotEqual(b, m.ID(), back.ID())
	now := back.list(0)
	require.Len(b, now, 150)
	for i, msg := range now {
		require.Equal(b, []any{wants[i].Flags.Names(), wants[i].Date, wants[i].Size}, []any{msg.Flags.Names(), msg.Date, msg.Size})
	}
	require.Equal(b, texts, []string{back.text(now[0].UID), back.text(now[149].UID)})
	require.True(b, b.info(b.account(alice), "gone/deep").Subscribed)
	back.check()
}

func kindComesBack(b *retainBench) {
	a := b.account(alice)
	require.NoError(b, a.Create(b.ctx(), "plans", storage.NewMailbox{Kind: storage.Calendar}))
	b.box("plans").add(1)
	require.NoError(b, a.Delete(b.ctx(), "plans"))
	list := b.retained(alice)
	require.Len(b, list, 1)
	require.Equal(b, storage.Calendar, list[0].Kind)
	require.Equal(b, 1, b.restore("", list[0].ID))
	require.Equal(b, storage.Calendar, b.info(a, "plans").Kind)
}

func intoAnother(b *retainBench) {
	x := b.box("x")
	x.add(2)
	x.expunge(1, 2)
	list := b.retained(alice)
	require.Equal(b, 1, b.restore("new/place", list[1].ID))
	require.Equal(b, []imap.UID{1}, b.box("new/place").uids())
	require.Equal(b, 1, b.restore("inBOX", list[0].ID))
	require.Len(b, b.box("INBOX").uids(), 1)
	require.Empty(b, x.uids())
	require.NoError(b, b.account(alice).Rename(b.ctx(), "x", "z"))
	x.add(1)
	x.expunge(3)
	require.Equal(b, "z", b.retained(alice)[0].Mailbox, "the name it had then")
}

func goneAtItsTime(b *retainBench) {
	m := b.box("x")
	m.add(3)
	m.expunge(1)
	b.pass(day)
	m.expunge(2)
	require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
	ids := idsOf(b.retained(alice))
	require.Len(b, ids, 3)
	b.pass(week - day - time.Second)
	require.Len(b, b.retained(alice), 3)
	b.pass(time.Second)
	require.Equal(b, ids[1:], idsOf(b.retained(alice)))
	_, err := b.retainer(alice).OpenRetained(b.ctx(), ids[0])
	require.ErrorIs(b, err, storage.ErrNoMessage)
	n, err := b.retainer(alice).Discard(b.ctx(), ids[0])
	require.NoError(b, err)
	require.Zero(b, n)
	require.Equal(b, 1, b.restore("", ids[:2]...))
	b.pass(day)
	b.purge()
	require.Empty(b, b.retained(alice))
	require.Zero(b, b.restore("", ids...))
	require.Len(b, b.box("x").uids(), 1)
}

func countersOfExpunge(b *retainBench) {
	m := b.box("x")
	m.add(6, imap.FlagSeen)
	since := m.status().HighestModSeq
	require.Equal(b, imap.UIDSet{{Start: 2, Stop: 3}}, m.expunge(2, 3, 9))
	require.Equal(b, imap.UIDSet{{Start: 2, Stop: 3}}, m.expunged(since))
	s := m.status()
	require.EqualValues(b, 4, s.Messages)
	require.EqualValues(b, 7, s.UIDNext)
	m.check()
	_, err := m.Open(b.ctx(), 2)
	require.ErrorIs(b, err, storage.ErrNoMessage)
}

func moveRetainsNothing(b *retainBench) {
	m := b.box("x")
	b.box("y")
	m.add(3)
	_, err := m.Move(b.ctx(), set(1, 2), "y")
	require.NoError(b, err)
	b.box("INBOX").add(2)
	require.NoError(b, b.account(alice).Rename(b.ctx(), "INBOX", "old"))
	require.NoError(b, b.account(alice).Rename(b.ctx(), "y", "new"))
	require.Empty(b, b.retained(alice))
}

func withoutRetention(b *retainBench) {
	const bob = "bob@elsewhere.test"
	a := b.account(bob)
	require.NoError(b, a.Create(b.ctx(), "x", storage.NewMailbox{}))
	b.deliver("text", storage.Target{User: bob}, storage.Target{User: bob, Mailbox: "x"}, storage.Target{User: alice})
	m, err := a.Mailbox(b.ctx(), "INBOX")
	require.NoError(b, err)
	_, err = m.Expunge(b.ctx(), all())
	require.NoError(b, err)
	require.NoError(b, a.Delete(b.ctx(), "x"))
	require.Empty(b, b.retained(bob))
	b.deliver("old", storage.Target{User: bob, Mailbox: "Trash"})
	b.pass(999 * day)
	require.Zero(b, b.purge(), "what other domains want is nothing to this one")
	require.Len(b, b.box("INBOX").uids(), 1)
}

func discard(b *retainBench) {
	m := b.box("x")
	m.add(4)
	m.expunge(1, 2, 3)
	ids := idsOf(b.retained(alice))
	n, err := b.retainer(alice).Discard(b.ctx())
	require.NoError(b, err)
	require.Zero(b, n, "no ids are no messages")
	require.Zero(b, b.restore(""))
	n, err = b.retainer(alice).Discard(b.ctx(), ids[2], ids[0], ids[0], 1<<60)
	require.NoError(b, err)
	require.Equal(b, 2, n)
	require.Equal(b, ids[1:2], idsOf(b.retained(alice)))
	require.Equal(b, 1, b.restore("", ids...))
	require.Equal(b, []imap.UID{4, 5}, m.uids())
}

func refusedRestore(b *retainBench) {
	m := b.box("x")
	m.add(2)
	m.expunge(1, 2)
	list := b.retained(alice)
	r := b.retainer(alice)
	_, err := r.Restore(b.ctx(), "a//b", list[0].ID)
	require.ErrorIs(b, err, storage.ErrBadName)
	_, err = r.Restore(cancelled(), "", list[0].ID)
	require.Error(b, err)
	_, err = r.Discard(cancelled(), list[0].ID)
	require.Error(b, err)
	for k, err := range r.Retained(cancelled()) {
		require.Error(b, err)
		require.Zero(b, k)
	}
	require.Equal(b, list, b.retained(alice))
	require.Empty(b, m.uids())

	// A mailbox that can't come back, since one of another kind is above it now.
	a := b.account(alice)
	b.box("up/low").add(1)
	b.box("up/low").expunge(1)
	require.NoError(b, a.Delete(b.ctx(), "up/low"))
	require.NoError(b, a.Delete(b.ctx(), "up"))
	require.NoError(b, a.Create(b.ctx(), "up", storage.NewMailbox{Kind: storage.Notes}))
	ids := idsOf(b.retained(alice))
	_, err = r.Restore(b.ctx(), "", ids...)
	require.ErrorIs(b, err, storage.ErrBadKind)
	require.Equal(b, ids, idsOf(b.retained(alice)), "all or none")
	require.Empty(b, m.uids())
	require.NotContains(b, b.names(a), "up/low")
}

func removedAccount(b *retainBench) {
	remover, ok := storage.As[storage.Remover](b.Store)
	if !ok {
		b.Skip("no Remover")
	}
	m := b.box("x")
	m.add(3)
	m.expunge(1)
	require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
	old := b.retainer(alice)
	require.Len(b, b.retained(alice), 3)
	ids := idsOf(b.retained(alice))
	require.NoError(b, remover.RemoveAccount(b.ctx(), alice))
	for k, err := range old.Retained(b.ctx()) {
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.Zero(b, k)
	}
	_, err := old.Restore(b.ctx(), "", ids...)
	require.ErrorIs(b, err, storage.ErrNoMailbox)
	_, err = old.Discard(b.ctx(), ids...)
	require.ErrorIs(b, err, storage.ErrNoMailbox)
	_, err = old.OpenRetained(b.ctx(), ids[0])
	require.ErrorIs(b, err, storage.ErrNoMailbox)
	require.Empty(b, b.retained(alice), "nor has a new account of that name anything")
	require.Zero(b, b.restore("", ids...))
}

func copiesOneByOne(b *retainBench) {
	m := b.box("x")
	m.add(1)
	for range 3 {
		_, err := m.Copy(b.ctx(), set(1), "x")
		require.NoError(b, err)
	}
	m.expunge(2, 4)
	list := b.retained(alice)
	require.Len(b, list, 2)
	n, err := b.retainer(alice).Discard(b.ctx(), list[0].ID)
	require.NoError(b, err)
	require.Equal(b, 1, n)
	require.Equal(b, 1, b.restore("y", list[1].ID))
	for _, m := range []*box{m, b.box("y")} {
		for _, uid := range m.uids() {
			require.Equal(b, "Subject: 0\r\n\r\ntext 0\r\n", m.text(uid))
		}
	}
	require.Equal(b, []imap.UID{1, 3}, m.uids())
}

func readWhileChanging(b *retainBench) {
	m := b.box("x")
	m.add(700)
	_, err := m.Expunge(b.ctx(), all())
	require.NoError(b, err)
	seen := make(map[storage.RetainedID]bool)
	n := 0
	for k, err := range b.retainer(alice).Retained(b.ctx()) {
		require.NoError(b, err)
		require.False(b, seen[k.ID], "each once")
		seen[k.ID] = true
		if n++; n%100 == 0 {
			require.Equal(b, 1, b.restore(fmt.Sprintf("back %d", n), k.ID))
		}
	}
	require.Equal(b, 700, n)
	require.Len(b, b.retained(alice), 693)
}
