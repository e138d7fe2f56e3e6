package storagetest

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// kinds are all kinds of mailboxes.
func kinds() (all []storage.Kind) {
	for k := storage.Mail; k.Valid(); k++ {
		all = append(all, k)
	}
	return all
}

// KindDefaults returns default mailboxes of every kind, with parents that are
// not among them, for RunDefaults.
func KindDefaults() []storage.Default {
	list := []storage.Default{
		{Name: "INBOX/Below"}, {Name: "Sent", Attrs: []imap.MailboxAttr{imap.MailboxAttrSent}}, {Name: "Plan/Own/Work", Kind: storage.Calendar},
		{Name: "Plan/Shared"},
	}
	for _, k := range kinds() {
		list = append(list, storage.Default{Name: "My " + k.String(), Kind: k})
	}
	return list
}

// RunDefaults checks stores whose accounts begin with the mailboxes of
// KindDefaults.
func RunDefaults(t *testing.T, open Open) {
	b := &bench{T: t, Store: open(t)}
	a := b.account(alice)
	require.Equal(t, storage.Mail, b.info(a, storage.Inbox).Kind)
	for _, d := range KindDefaults() {
		i := b.info(a, d.Name)
		require.True(t, i.Subscribed, d.Name)
		require.Equal(t, d.Attrs, i.Attrs, d.Name)
		if d.Kind != 0 {
			require.Equal(t, d.Kind, i.Kind, d.Name)
		}
	}
	require.Equal(t, storage.Mail, b.info(a, "INBOX/Below").Kind)
	for _, made := range []string{"Plan", "Plan/Own", "Plan/Shared"} {
		require.Equal(t, storage.Calendar, b.info(a, made).Kind, made)
	}
	b.deliver("x", storage.Target{User: "bob@example.test", Mailbox: "My notes"})
	require.Equal(t, storage.Notes, b.info(b.account("bob@example.test"), "My notes").Kind)
}

func (b *bench) create(a storage.Account, name string, k storage.Kind) {
	b.Helper()
	require.NoError(b, a.Create(b.ctx(), name, storage.NewMailbox{Kind: k}))
}

var kindTests = map[string]func(*bench){
	"AreSetWhenAMailboxIsMade": func(b *bench) {
		a := b.account(alice)
		for _, k := range kinds() {
			b.create(a, k.String(), k)
			require.Equal(b, k, b.info(a, k.String()).Kind)
			require.Equal(b, k, b.box(k.String()).Kind())
		}
		b.create(a, "plain", 0)
		require.Equal(b, storage.Mail, b.info(a, "plain").Kind)
	},
	"InboxAndTheDefaultsHaveOne": func(b *bench) {
		a := b.account(alice)
		for _, i := range b.infos(a) {
			require.True(b, i.Kind.Valid(), i.Name)
		}
		require.Equal(b, storage.Mail, b.info(a, storage.Inbox).Kind)
		b.create(a, "INBOX/x", 0)
		require.ErrorIs(b, a.Create(b.ctx(), "inbox/y", storage.NewMailbox{Kind: storage.Calendar}), storage.ErrBadKind)
	},
	"ANameWithoutAMailboxHasNone": func(b *bench) {
		a := b.account(alice)
		b.create(a, "c", storage.Contacts)
		require.NoError(b, a.Subscribe(b.ctx(), "c/ghost"))
		require.Zero(b, b.info(a, "c/ghost").Kind)
	},
	"AreThoseOfTheParent": func(b *bench) {
		a := b.account(alice)
		b.create(a, "p", storage.Calendar)
		b.create(a, "p/same", storage.Calendar)
		b.create(a, "p/asked/for/nothing", 0)
		for _, n := range []string{"p/same", "p/asked", "p/asked/for", "p/asked/for/nothing"} {
			require.Equal(b, storage.Calendar, b.info(a, n).Kind, n)
		}
	},
	"MissingParentsGetThem": func(b *bench) {
		a := b.account(alice)
		b.create(a, "x/y/z", storage.Journal)
		require.Equal(b, storage.Journal, b.info(a, "x").Kind)
		require.Equal(b, storage.Journal, b.info(a, "x/y").Kind)
		b.deliver("x", storage.Target{User: alice, Mailbox: "x/y/new", Create: true})
		require.Equal(b, storage.Journal, b.info(a, "x/y/new").Kind)
		b.deliver("x", storage.Target{User: alice, Mailbox: "top/new", Create: true})
		require.Equal(b, storage.Mail, b.info(a, "top").Kind)
	},
	"AnotherBelowAParentIsRefused": func(b *bench) {
		a := b.account(alice)
		b.create(a, "p", storage.Calendar)
		b.create(a, "p/c", 0)
		before := b.names(a)
		for _, name := range []string{"p/x", "p/x/y", "p/c/x", "INBOX/x", "Sent/x"} {
			require.ErrorIs(b, a.Create(b.ctx(), name, storage.NewMailbox{Kind: storage.Tasks}), storage.ErrBadKind, name)
		}
		require.ErrorIs(b, a.Create(b.ctx(), "p/x", storage.NewMailbox{Kind: storage.Mail}), storage.ErrBadKind)
		require.ErrorIs(b, a.Create(b.ctx(), "none", storage.NewMailbox{Kind: storage.Journal + 1}), storage.ErrBadKind)
		require.ErrorIs(b, a.Create(b.ctx(), "p/none", storage.NewMailbox{Kind: 255}), storage.ErrBadKind)
		require.Equal(b, before, b.names(a), "and nothing of it was made")
		b.create(a, "p-neighbour", storage.Tasks)
	},
	"RenamingKeepsThem": func(b *bench) {
		a := b.account(alice)
		b.create(a, "old/child", storage.Notes)
		b.create(a, "notes", storage.Notes)
		handle := b.box("old/child")
		require.NoError(b, a.Rename(b.ctx(), "old", "new/parent/old"))
		require.Equal(b, storage.Notes, handle.Kind())
		for _, n := range []string{"new", "new/parent", "new/parent/old", "new/parent/old/child"} {
			require.Equal(b, storage.Notes, b.info(a, n).Kind, n)
		}
		require.NoError(b, a.Rename(b.ctx(), "new/parent/old", "notes/old"))
		require.Equal(b, storage.Notes, b.info(a, "notes/old/child").Kind)
	},
	"RenamingBelowAnotherIsRefused": func(b *bench) {
		a := b.account(alice)
		b.create(a, "cal/child", storage.Calendar)
		b.create(a, "mail", storage.Mail)
		before := b.infos(a)
		require.ErrorIs(b, a.Rename(b.ctx(), "cal", "mail/cal"), storage.ErrBadKind)
		require.ErrorIs(b, a.Rename(b.ctx(), "cal/child", "mail/new/child"), storage.ErrBadKind)
		require.ErrorIs(b, a.Rename(b.ctx(), "cal", "INBOX/cal"), storage.ErrBadKind)
		require.ErrorIs(b, a.Rename(b.ctx(), "mail", "cal/mail"), storage.ErrBadKind)
		require.ErrorIs(b, a.Rename(b.ctx(), "INBOX", "cal/inbox"), storage.ErrBadKind)
		require.Equal(b, before, b.infos(a))
	},
	"ANameAgainMayHaveAnother": func(b *bench) {
		a := b.account(alice)
		b.create(a, "again", storage.Tasks)
		require.NoError(b, a.Delete(b.ctx(), "again"))
		b.create(a, "again", storage.Contacts)
		require.Equal(b, storage.Contacts, b.info(a, "again").Kind)
	},
	"MessagesAreKeptInAll": func(b *bench) {
		a := b.account(alice)
		for _, k := range kinds() {
			b.create(a, k.String(), k)
			b.deliver("Subject: x\r\n\r\n", storage.Target{User: alice, Mailbox: k.String()})
			m := b.box(k.String())
			m.add(1)
			_, err := m.Copy(b.ctx(), all(), storage.Inbox)
			require.NoError(b, err)
			require.Len(b, m.uids(), 2)
			m.check()
		}
	},
}
