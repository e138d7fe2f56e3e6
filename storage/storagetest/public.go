package storagetest

import (
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var publicTests = map[string]func(*bench){
	"BeginWithoutMailboxes": func(b *bench) {
		a := b.account(public)
		require.Empty(b, b.infos(a))
		_, err := a.Mailbox(b.ctx(), storage.Inbox)
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.ErrorIs(b, a.Rename(b.ctx(), storage.Inbox, "x"), storage.ErrNoMailbox)
		require.Empty(b, b.infos(b.account(public)), "and stay so")
	},
	"AreOfEveryKind": func(b *bench) {
		a := b.account(public)
		for _, k := range kinds() {
			b.create(a, k.String()+"/below", k)
			require.Equal(b, k, b.info(a, k.String()).Kind)
		}
		require.Len(b, b.infos(a), 2*len(kinds()))
		require.NoError(b, a.Rename(b.ctx(), "tasks", "To do"))
		require.NoError(b, a.Delete(b.ctx(), "To do/below"))
		require.NotContains(b, b.names(a), "tasks")
	},
	"AreDeliveredTo": func(b *bench) {
		b.create(b.account(public), "Announcements", storage.Mail)
		r := b.deliver("Subject: x\r\n\r\nfor all\r\n", storage.Target{User: public, Mailbox: "Announcements"}, storage.Target{User: alice})
		m, err := b.account(public).Mailbox(b.ctx(), "Announcements")
		require.NoError(b, err)
		box := &box{m, b}
		require.Equal(b, m.ID(), r[0].Mailbox)
		require.Equal(b, "Subject: x\r\n\r\nfor all\r\n", box.text(r[0].UID))
		box.check()
	},
	"AreMadeByADelivery": func(b *bench) {
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{
			{User: public}, {User: public, Mailbox: "missing"}, {User: public, Mailbox: "Lists/new", Create: true},
		}})
		require.NoError(b, err)
		require.ErrorIs(b, r[0].Err, storage.ErrNoMailbox, "there is no INBOX")
		require.ErrorIs(b, r[1].Err, storage.ErrNoMailbox)
		require.NoError(b, r[2].Err)
		require.Equal(b, []string{"Lists", "Lists/new"}, b.names(b.account(public)))
	},
	"AreApartFromAccountsAndOtherDomains": func(b *bench) {
		b.create(b.account(public), "x", storage.Mail)
		require.Empty(b, b.infos(b.account(storage.PublicAccount("other.test"))))
		for _, user := range []string{alice, "example.test", "@"} {
			names := b.names(b.account(user))
			require.Contains(b, names, storage.Inbox, user)
			require.NotContains(b, names, "x", user)
		}
	},
	"MayHaveAnInboxForMail": func(b *bench) {
		a := b.account(public)
		for _, name := range []string{"inbox", "inbox/x"} {
			require.ErrorIs(b, a.Create(b.ctx(), name, storage.NewMailbox{Kind: storage.Calendar}), storage.ErrBadKind)
		}
		require.Empty(b, b.infos(a))
		b.create(a, "inbox/x", 0)
		require.Equal(b, []string{storage.Inbox, "INBOX/x"}, b.names(a))
		require.Equal(b, storage.Mail, b.info(a, storage.Inbox).Kind)
	},
}

// public is the account of alice's domain's public folders.
const public = "@example.test"
