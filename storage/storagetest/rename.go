package storagetest

import (
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var renameTests = map[string]func(*bench){
	"ANewUIDValidityRaisesTheModSeq": newUIDValidityRaisesTheModSeq,
	"KeepsMessagesIDsAndHandles": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "old", storage.NewMailbox{Attrs: []imap.MailboxAttr{imap.MailboxAttrArchive}}))
		m := b.box("old")
		m.add(2, imap.FlagFlagged)
		before, list := m.status(), m.list(0)
		require.NoError(b, a.Rename(b.ctx(), "old", "x/new"))
		require.Subset(b, b.names(a), []string{"x", "x/new"})
		require.NotContains(b, b.names(a), "old")
		moved := b.box("x/new")
		require.Equal(b, m.ID(), moved.ID())
		require.Equal(b, before, moved.status())
		require.Equal(b, list, m.list(0), "a handle stays valid")
		require.Equal(b, []imap.MailboxAttr{imap.MailboxAttrArchive}, b.info(a, "x/new").Attrs)
		m.add(1)
		moved.check()
	},
	"MovesChildrenAlong": func(b *bench) {
		a := b.account(alice)
		for _, n := range []string{"p/a", "p/b/c", "p-not", "p0"} {
			b.box(n).add(1)
		}
		ids := map[string]storage.MailboxID{"q": b.box("p").ID(), "q/a": b.box("p/a").ID(), "q/b": b.box("p/b").ID(), "q/b/c": b.box("p/b/c").ID()}
		require.NoError(b, a.Rename(b.ctx(), "p", "q"))
		for n, id := range ids {
			require.Equal(b, id, b.info(a, n).ID, n)
		}
		require.Subset(b, b.names(a), []string{"p-not", "p0"})
		for _, n := range b.names(a) {
			require.False(b, n == "p" || strings.HasPrefix(n, "p/"), n)
		}
		require.Len(b, b.box("q/b/c").uids(), 1)
	},
	"I13Refuses": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "p/c", storage.NewMailbox{}))
		require.NoError(b, a.Create(b.ctx(), "other", storage.NewMailbox{}))
		require.ErrorIs(b, a.Rename(b.ctx(), "p", "p/c/d"), storage.ErrBadName)
		require.ErrorIs(b, a.Rename(b.ctx(), "p", "p/new"), storage.ErrBadName)
		require.ErrorIs(b, a.Rename(b.ctx(), "p", "p"), storage.ErrMailboxExists)
		require.ErrorIs(b, a.Rename(b.ctx(), "p", "other"), storage.ErrMailboxExists)
		require.ErrorIs(b, a.Rename(b.ctx(), "p", "inbox"), storage.ErrMailboxExists)
		require.ErrorIs(b, a.Rename(b.ctx(), "none", "x"), storage.ErrNoMailbox)
	},
	"ChildrenThatWouldGetTooLongANameStay": func(b *bench) {
		a := b.account(alice)
		child := "p/" + strings.Repeat("c", 600)
		require.NoError(b, a.Create(b.ctx(), child, storage.NewMailbox{}))
		require.ErrorIs(b, a.Rename(b.ctx(), "p", strings.Repeat("q", 600)), storage.ErrBadName)
		require.Subset(b, b.names(a), []string{"p", child})
	},
	"SubscriptionsStay": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "s", storage.NewMailbox{}))
		require.NoError(b, a.Subscribe(b.ctx(), "s"))
		require.NoError(b, a.Rename(b.ctx(), "s", "t"))
		require.True(b, b.info(a, "s").Subscribed)
		require.Zero(b, b.info(a, "s").ID)
		require.False(b, b.info(a, "t").Subscribed)
	},
	"I13InboxGivesItsMessagesAway": func(b *bench) {
		a := b.account(alice)
		inbox := b.box("INBOX")
		inbox.add(3, imap.FlagFlagged, "kw")
		inbox.expunge(2)
		require.NoError(b, a.Create(b.ctx(), "INBOX/child", storage.NewMailbox{}))
		before := inbox.status()
		require.NoError(b, a.Rename(b.ctx(), "inbox", "Old/Mail"))
		require.Subset(b, b.names(a), []string{"INBOX", "INBOX/child", "Old", "Old/Mail"})
		require.NotContains(b, b.names(a), "Old/Mail/child")
		after := inbox.status()
		require.Equal(b, before.UIDValidity, after.UIDValidity)
		require.Equal(b, before.UIDNext, after.UIDNext)
		require.Greater(b, after.HighestModSeq, before.HighestModSeq)
		require.Equal(b, set(1, 3), inbox.expunged(before.HighestModSeq))
		require.Empty(b, inbox.uids())
		moved := b.box("Old/Mail")
		list := moved.list(0)
		require.Len(b, list, 2)
		require.True(b, list[0].Flags.Equal(storage.NewFlags(imap.FlagFlagged, "kw")))
		require.Equal(b, "Subject: 2\r\n\r\ntext 2\r\n", moved.text(list[1].UID))
		inbox.check()
		moved.check()
		inbox.add(1)
		require.Equal(b, []imap.UID{before.UIDNext}, inbox.uids())
	},
	"InboxWithoutMessages": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Rename(b.ctx(), "INBOX", "empty"))
		require.Empty(b, b.box("empty").uids())
		require.ErrorIs(b, a.Rename(b.ctx(), "INBOX", "empty"), storage.ErrMailboxExists)
	},
	"UIDValidityOfTheNewNameGrows": func(b *bench) {
		a := b.account(alice)
		b.box("older").add(1)
		young := b.box("name").status().UIDValidity
		require.NoError(b, a.Delete(b.ctx(), "name"))
		require.NoError(b, a.Rename(b.ctx(), "older", "name"))
		require.Greater(b, b.box("name").status().UIDValidity, young)
		require.Len(b, b.box("name").uids(), 1)

		last := b.box("name").status().UIDValidity
		require.NoError(b, a.Rename(b.ctx(), "name", "elsewhere"))
		require.Equal(b, last, b.box("elsewhere").status().UIDValidity, "a new name keeps it")
		require.NoError(b, a.Rename(b.ctx(), "elsewhere", "name"))
		require.GreaterOrEqual(b, b.box("name").status().UIDValidity, last)
	},
}
