package storagetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// acknowledgedTests cut the power as soon as a change was acknowledged.
var acknowledgedTests = map[string]func(*plug){
	"Account": func(p *plug) {
		before := [][]storage.MailboxInfo{p.infos(p.account(alice)), p.infos(p.account(bob))}
		p.cut()
		for i, user := range []string{bob, alice} { // in another order than they were made
			require.Equal(p, before[1-i], p.infos(p.account(user)))
		}
	},
	"Deliver": func(p *plug) {
		text := "Subject: kept\r\n\r\n" + strings.Repeat("a line of text\r\n", 10_000)
		d := &storage.Delivery{Body: body(text), Date: noon, Targets: []storage.Target{
			{User: alice, Prefix: []byte("Delivered-To: alice\r\n"), Flags: storage.NewFlags(imap.FlagFlagged, "work")},
			{User: alice, Mailbox: "Lists/New", Create: true},
			{User: bob},
		}}
		r, err := p.Deliver(p.ctx(), d)
		require.NoError(p, err)
		p.cut()
		inbox, list := p.open("INBOX"), p.open("Lists/New")
		require.Equal(p, "Delivered-To: alice\r\n"+text, inbox.text(r[0].UID))
		require.Equal(p, text, list.text(r[1].UID))
		msg := inbox.message(r[0].UID)
		require.True(p, noon.Equal(msg.Date))
		require.Equal(p, []imap.Flag{imap.FlagFlagged, "work"}, msg.Flags.Names())
		for i, m := range []*box{inbox, list} {
			require.Equal(p, []any{r[i].Mailbox, r[i].UIDValidity}, []any{m.ID(), m.status().UIDValidity})
			m.check()
		}
		require.True(p, p.info(p.account(alice), "Lists/New").Subscribed)
		m, err := p.account(bob).Mailbox(p.ctx(), "INBOX")
		require.NoError(p, err)
		require.Equal(p, text, (&box{m, p.bench}).text(r[2].UID))
	},
	"DeliverOneByOne": func(p *plug) {
		for i := range 20 {
			r := p.deliver(fmt.Sprint("message ", i), storage.Target{User: alice})
			p.cut()
			m := p.open("INBOX")
			require.Equal(p, fmt.Sprint("message ", i), m.text(r[0].UID))
			require.Len(p, m.uids(), i+1)
			m.check()
		}
	},
	"Append": func(p *plug) {
		m := p.box("x")
		uids, err := m.Append(p.ctx(),
			storage.NewMessage{Body: body("one"), Date: noon, Flags: storage.NewFlags(imap.FlagDraft)},
			storage.NewMessage{},
			storage.NewMessage{Body: body("two"), Date: noon.Add(time.Hour), Flags: storage.NewFlags("k")})
		require.NoError(p, err)
		p.cut()
		m = p.open("x")
		require.Equal(p, uids, m.uids())
		require.Equal(p, []string{"one", "", "two"}, m.texts())
		last := m.message(uids[2])
		require.True(p, noon.Add(time.Hour).Equal(last.Date))
		require.Equal(p, []imap.Flag{"k"}, last.Flags.Names())
		m.check()
	},
	"StoreFlags": func(p *plug) {
		m := p.box("x")
		uids := m.add(3, imap.FlagSeen, "old")
		for _, op := range []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel, imap.StoreFlagsSet} {
			changed := m.store(op, set(uids[0], uids[2]), imap.FlagDeleted, "kw")
			p.cut()
			m = p.open("x")
			require.Len(p, changed, 2)
			for _, msg := range changed {
				require.Equal(p, msg, m.message(msg.UID))
			}
			require.Equal(p, []imap.Flag{imap.FlagSeen, "old"}, m.message(uids[1]).Flags.Names())
			m.check()
		}
	},
	"Expunge": func(p *plug) {
		m := p.box("x")
		m.add(6)
		before := m.status().HighestModSeq
		m.expunge(2, 3, 6)
		p.cut()
		m = p.open("x")
		require.Equal(p, []imap.UID{1, 4, 5}, m.uids())
		require.Equal(p, set(2, 3, 6), m.expunged(before))
		_, err := m.Open(p.ctx(), 2)
		require.ErrorIs(p, err, storage.ErrNoMessage)
		m.check()
	},
	"Copy": func(p *plug) {
		m, _ := p.box("x"), p.box("y")
		m.add(3, imap.FlagAnswered, "k")
		list, texts := m.list(0), m.texts()
		c, err := m.Copy(p.ctx(), all(), "y")
		require.NoError(p, err)
		p.cut()
		for i, m := range []*box{p.open("x"), p.open("y")} {
			require.Equal(p, [][]imap.UID{c.Source, c.Dest}[i], m.uids())
			require.Equal(p, texts, m.texts())
			for j, msg := range m.list(0) {
				require.True(p, list[j].Flags.Equal(msg.Flags))
				require.True(p, list[j].Date.Equal(msg.Date))
			}
			m.check()
		}
	},
	"Move": func(p *plug) {
		m, _ := p.box("x"), p.box("y")
		m.add(3, imap.FlagAnswered, "k")
		texts, before := m.texts(), m.status().HighestModSeq
		c, err := m.Move(p.ctx(), set(1, 2), "y")
		require.NoError(p, err)
		p.cut()
		m = p.open("x")
		other := p.open("y")
		require.Equal(p, []imap.UID{3}, m.uids())
		require.Equal(p, set(1, 2), m.expunged(before))
		require.Equal(p, c.Dest, other.uids())
		require.Equal(p, texts[:2], other.texts())
		require.Equal(p, []imap.Flag{imap.FlagAnswered, "k"}, other.message(c.Dest[0]).Flags.Names())
		m.check()
		other.check()
	},
	"Create": func(p *plug) {
		m := p.box("a/b/c")
		p.cut()
		require.Equal(p, m.ID(), p.open("a/b/c").ID())
		require.Subset(p, p.names(p.account(alice)), []string{"a", "a/b"})
	},
	"Rename": func(p *plug) {
		p.box("a/b").add(2)
		p.box("a").add(1)
		ids := []storage.MailboxID{p.box("a").ID(), p.box("a/b").ID()}
		require.NoError(p, p.account(alice).Rename(p.ctx(), "a", "z/y"))
		p.cut()
		names := p.names(p.account(alice))
		require.Subset(p, names, []string{"z", "z/y", "z/y/b"})
		require.NotContains(p, names, "a")
		require.NotContains(p, names, "a/b")
		require.Equal(p, ids, []storage.MailboxID{p.open("z/y").ID(), p.open("z/y/b").ID()})
		require.Len(p, p.open("z/y/b").texts(), 2)
	},
	"RenameOfInbox": func(p *plug) {
		p.box("INBOX").add(3, "k")
		texts := p.box("INBOX").texts()
		require.NoError(p, p.account(alice).Rename(p.ctx(), "INBOX", "Old"))
		p.cut()
		inbox, old := p.open("INBOX"), p.open("Old")
		require.Empty(p, inbox.uids())
		require.Equal(p, set(1, 2, 3), inbox.expunged(0))
		require.EqualValues(p, 4, inbox.status().UIDNext)
		require.Equal(p, texts, old.texts())
		inbox.check()
		old.check()
	},
	"Delete": func(p *plug) {
		p.box("x").add(3)
		require.NoError(p, p.account(alice).Delete(p.ctx(), "x"))
		p.cut()
		require.NotContains(p, p.names(p.account(alice)), "x")
		require.Empty(p, p.box("x").uids())
	},
	"Subscribe": func(p *plug) {
		require.NoError(p, p.account(alice).Subscribe(p.ctx(), "ghost"))
		p.cut()
		require.True(p, p.info(p.account(alice), "ghost").Subscribed)
		require.NoError(p, p.account(alice).Unsubscribe(p.ctx(), "ghost"))
		p.cut()
		require.NotContains(p, p.names(p.account(alice)), "ghost")
	},
	"Annotate": func(p *plug) {
		a := p.annotated(alice)
		p.box("x")
		set := []storage.Annotation{shared("/a", "one"), private(bob, "/a", "two")}
		for _, mailbox := range []string{"", "x"} {
			a.set(mailbox, set...)
			p.cut()
			a = p.annotated(alice)
			require.Equal(p, set, a.of(mailbox, bob))
			a.set(mailbox, remove(set[0]), shared("/b", ""))
			p.cut()
			a = p.annotated(alice)
			require.Equal(p, []storage.Annotation{shared("/b", ""), set[1]}, a.of(mailbox, bob))
		}
	},
	"RemoveAccount": func(p *plug) {
		r, ok := storage.As[storage.Remover](p.Store)
		if !ok {
			p.Skip("no Remover")
		}
		p.box("x").add(3)
		require.NoError(p, r.RemoveAccount(p.ctx(), alice))
		p.cut()
		require.NotContains(p, p.names(p.account(alice)), "x")
		require.Empty(p, p.box("x").uids())
	},
	"EverythingThatCouldBeSeen": func(p *plug) {
		for cut := range 8 {
			for i := range 15 {
				happen(p, rand.New(rand.NewPCG(uint64(cut), uint64(i))))
			}
			before := p.picture(alice)
			p.cut()
			require.Equal(p, before, p.picture(alice))
		}
	},
}

// happen makes one change of alice's account.
func happen(p *plug, r *rand.Rand) {
	names := []string{"INBOX", "a", "a/b", "c"}
	m, other := p.box(names[r.IntN(len(names))]), names[r.IntN(len(names))]
	p.box(other)
	some := imap.UIDSet{{Start: imap.UID(1 + r.IntN(10)), Stop: imap.UID(5 + r.IntN(20))}}
	var err error
	switch r.IntN(10) {
	case 0, 1:
		m.add(1+r.IntN(3), imap.FlagSeen)
	case 2, 3:
		p.deliver(fmt.Sprint("delivery ", r.Uint64()), storage.Target{User: alice, Mailbox: other, Prefix: []byte("X: y\r\n")}, storage.Target{User: alice})
	case 4:
		_, _, err = m.StoreFlags(p.ctx(), storage.FlagUpdate{UIDs: some, Op: imap.StoreFlagsOp(r.IntN(3)), Flags: storage.NewFlags(imap.FlagDeleted, imap.Flag(fmt.Sprint("k", r.IntN(3))))})
	case 5:
		_, err = m.Expunge(p.ctx(), some)
	case 6:
		_, err = m.Copy(p.ctx(), some, other)
	case 7:
		_, err = m.Move(p.ctx(), some, other)
	case 8:
		if notes, ok := storage.As[storage.Annotations](p.account(alice)); ok {
			err = notes.Annotate(p.ctx(), other, shared(fmt.Sprint("/", r.IntN(3)), fmt.Sprint(r.Uint64())), remove(shared("/0", "")))
		}
	default:
		a := p.account(alice)
		p.box("a/b")
		require.NoError(p, a.Rename(p.ctx(), "a", "d"))
		require.NoError(p, a.Subscribe(p.ctx(), fmt.Sprint("ghost", r.IntN(3))))
		require.NoError(p, a.Delete(p.ctx(), "d/b"))
		err = a.Delete(p.ctx(), "d")
	}
	require.NoError(p, err)
}
