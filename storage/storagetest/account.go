package storagetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var accountTests = map[string]func(*bench){
	"IsMadeWithSubscribedDefaults": func(b *bench) {
		a := b.account(alice)
		list := b.infos(a)
		require.Equal(b, storage.Inbox, list[0].Name)
		for _, i := range list {
			require.True(b, i.Subscribed, i.Name)
			require.NotZero(b, i.ID)
		}
	},
	"NamesOfUsersAreTakenAsTheyAre": func(b *bench) {
		b.deliver("x", storage.Target{User: "Alice"})
		m, err := b.account("alice").Mailbox(b.ctx(), "INBOX")
		require.NoError(b, err)
		require.Empty(b, (&box{m, b}).uids())
		_, err = b.Account(b.ctx(), "")
		require.ErrorIs(b, err, storage.ErrBadName)
		_, err = b.Account(b.ctx(), strings.Repeat("x", storage.MaxName+1))
		require.ErrorIs(b, err, storage.ErrBadName)
	},
	"AccountsAreApart": func(b *bench) {
		users := []string{"a", "a\x00", "a/INBOX", "ab", "a\xff", "../a"}
		for i, user := range users {
			require.NoError(b, b.account(user).Create(b.ctx(), fmt.Sprint("own", i), storage.NewMailbox{}))
		}
		for i, user := range users {
			own := slices.DeleteFunc(b.names(b.account(user)), func(n string) bool { return !strings.HasPrefix(n, "own") })
			require.Equal(b, []string{fmt.Sprint("own", i)}, own)
		}
	},
	"ListIsSortedWithInboxFirst": func(b *bench) {
		a := b.account(alice)
		for _, n := range []string{"b", "A", "a/x", "a b", "INBOX/z", "\u00e4"} {
			require.NoError(b, a.Create(b.ctx(), n, storage.NewMailbox{}))
		}
		require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
		names := b.names(a)
		require.Equal(b, storage.Inbox, names[0])
		require.IsIncreasing(b, names[1:])
		require.Subset(b, names, []string{"A", "a", "a b", "a/x", "b", "INBOX/z", "\u00e4", "ghost"})
	},
	"CreateMakesParentsWithoutAttributes": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "x/y/z", storage.NewMailbox{Attrs: []imap.MailboxAttr{imap.MailboxAttrArchive}}))
		require.Equal(b, []imap.MailboxAttr{imap.MailboxAttrArchive}, b.info(a, "x/y/z").Attrs)
		require.Empty(b, b.info(a, "x/y").Attrs)
		require.Empty(b, b.info(a, "x").Attrs)
		require.False(b, b.info(a, "x/y/z").Subscribed)
		require.ErrorIs(b, a.Create(b.ctx(), "x/y", storage.NewMailbox{}), storage.ErrMailboxExists)
		require.ErrorIs(b, a.Create(b.ctx(), "iNBOX", storage.NewMailbox{}), storage.ErrMailboxExists)
		s := b.box("x").status()
		require.EqualValues(b, 1, s.UIDNext)
		require.NotZero(b, s.UIDValidity)
		require.NotZero(b, s.HighestModSeq, "RFC 7162 has no ModSeq 0")
	},
	"I11BadNames": func(b *bench) {
		a := b.account(alice)
		before := b.names(a)
		for _, n := range badNames() {
			require.ErrorIs(b, a.Create(b.ctx(), n, storage.NewMailbox{}), storage.ErrBadName, "create %.40q", n)
			require.ErrorIs(b, a.Subscribe(b.ctx(), n), storage.ErrBadName, "subscribe %.40q", n)
			require.ErrorIs(b, a.Rename(b.ctx(), "Drafts", n), storage.ErrBadName, "rename to %.40q", n)
			require.ErrorIs(b, a.Rename(b.ctx(), n, "new"), storage.ErrNoMailbox, "rename from %.40q", n)
			require.ErrorIs(b, a.Delete(b.ctx(), n), storage.ErrNoMailbox, "delete %.40q", n)
			_, err := a.Mailbox(b.ctx(), n)
			require.ErrorIs(b, err, storage.ErrNoMailbox, "open %.40q", n)
		}
		require.Equal(b, before, b.names(a))
	},
	"I11OddNamesThatAreAllowed": func(b *bench) {
		a := b.account(alice)
		for _, n := range []string{
			"CON", "a.b.", ".hidden", "...", "with \"quotes\" \\ and space ", "&Jjo-", "~user", "#news", "日本語", "a/b/INBOX", "\U0001f4e7",
			strings.Repeat("x", storage.MaxName), strings.Repeat("x/", storage.MaxLevels-1) + "x",
		} {
			require.NoError(b, a.Create(b.ctx(), n, storage.NewMailbox{}), "%.40q", n)
			require.Contains(b, b.names(a), n)
			_, err := a.Mailbox(b.ctx(), n)
			require.NoError(b, err)
		}
	},
	"NormalFormsOfANameAreOneName": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "cafe\u0301", storage.NewMailbox{}))
		require.Contains(b, b.names(a), "caf\u00e9")
		require.ErrorIs(b, a.Create(b.ctx(), "caf\u00e9", storage.NewMailbox{}), storage.ErrMailboxExists)
		require.NoError(b, a.Create(b.ctx(), "inbox/Sub", storage.NewMailbox{}))
		require.Contains(b, b.names(a), "INBOX/Sub")
	},
	"DeleteRemovesMessagesAndHandles": func(b *bench) {
		m := b.box("gone")
		m.add(3)
		a := b.account(alice)
		require.NoError(b, a.Delete(b.ctx(), "gone"))
		require.NotContains(b, b.names(a), "gone")
		deadMailbox(m)
		require.ErrorIs(b, a.Delete(b.ctx(), "gone"), storage.ErrNoMailbox)
	},
	"DeleteRefuses": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Create(b.ctx(), "p/c", storage.NewMailbox{}))
		require.ErrorIs(b, a.Delete(b.ctx(), "p"), storage.ErrHasChildren)
		require.ErrorIs(b, a.Delete(b.ctx(), "inbox"), storage.ErrBadName)
		require.ErrorIs(b, a.Delete(b.ctx(), "nobody"), storage.ErrNoMailbox)
		require.NoError(b, a.Create(b.ctx(), "p-c", storage.NewMailbox{}), "a neighbour is no child")
		require.NoError(b, a.Delete(b.ctx(), "p/c"))
		require.NoError(b, a.Delete(b.ctx(), "p"))
	},
	"ANameAgainIsANewMailbox": func(b *bench) {
		a := b.account(alice)
		old := b.box("again")
		old.add(2)
		require.NoError(b, a.Delete(b.ctx(), "again"))
		require.NotEqual(b, old.ID(), b.box("other").ID())
		fresh := b.box("again")
		require.NotEqual(b, old.ID(), fresh.ID())
		require.Greater(b, fresh.ID(), old.ID())
		require.Empty(b, fresh.uids())
		deadMailbox(old)
	},
	"UIDValidityOfANameGrows": func(b *bench) {
		a := b.account(alice)
		var last uint32
		for range 3 {
			v := b.box("again").status().UIDValidity
			require.Greater(b, v, last)
			last = v
			require.NoError(b, a.Delete(b.ctx(), "again"))
		}
	},
	"SubscriptionsAreOfNames": func(b *bench) {
		a := b.account(alice)
		require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
		require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
		i := b.info(a, "ghost")
		require.True(b, i.Subscribed)
		require.Zero(b, i.ID)
		require.NoError(b, a.Create(b.ctx(), "ghost", storage.NewMailbox{}))
		i = b.info(a, "ghost")
		require.True(b, i.Subscribed)
		require.NotZero(b, i.ID)
		require.NoError(b, a.Delete(b.ctx(), "ghost"))
		require.True(b, b.info(a, "ghost").Subscribed, "deleting keeps the subscription")
		require.NoError(b, a.Unsubscribe(b.ctx(), "ghost"))
		require.NoError(b, a.Unsubscribe(b.ctx(), "ghost"))
		require.NotContains(b, b.names(a), "ghost")
		require.NoError(b, a.Unsubscribe(b.ctx(), "inbox"))
		require.False(b, b.info(a, "INBOX").Subscribed)
	},
	"ACancelledContextChangesNothing": func(b *bench) {
		a := b.account(alice)
		before := b.infos(a)
		require.Error(b, a.Create(cancelled(), "x", storage.NewMailbox{}))
		require.Error(b, a.Rename(cancelled(), "Drafts", "x"))
		require.Error(b, a.Delete(cancelled(), "Drafts"))
		require.Error(b, a.Subscribe(cancelled(), "x"))
		require.Error(b, a.Unsubscribe(cancelled(), "INBOX"))
		require.Equal(b, before, b.infos(a))
		_, err := a.Mailboxes(cancelled())
		require.Error(b, err)
	},
}

func badNames() []string {
	return []string{
		"", "/", "/a", "a/", "a//b", "../other", "/etc/x", "INBOX/../..", ".", "..", "a/./b", "a*", "%", "a\x00b", "a\r\nb", "\x7f", "\u0085", "\u2028",
		"bad\xffutf8", strings.Repeat("x", storage.MaxName+1), strings.Repeat("x/", storage.MaxLevels) + "x", strings.Repeat("a/", 10_000) + "a",
		strings.Repeat("x", 1<<20),
	}
}

// deadMailbox checks that a deleted mailbox refuses everything.
func deadMailbox(m *box) {
	m.b.Helper()
	ctx := m.b.ctx()
	want := func(err error) { m.b.Helper(); require.ErrorIs(m.b, err, storage.ErrNoMailbox) }
	_, err := m.Status(ctx)
	want(err)
	n := 0
	for _, err := range m.Messages(ctx, 0) {
		want(err)
		n++
	}
	require.Equal(m.b, 1, n)
	_, err = m.Expunged(ctx, 0)
	want(err)
	_, err = m.Open(ctx, 1)
	want(err)
	_, err = m.Index(ctx, 1)
	want(err)
	_, err = m.Append(ctx, storage.NewMessage{Body: body("x")})
	want(err)
	_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: all(), Flags: storage.NewFlags(imap.FlagSeen)})
	want(err)
	_, err = m.Expunge(ctx, all())
	want(err)
	_, err = m.Copy(ctx, all(), "INBOX")
	want(err)
	_, err = m.Move(ctx, all(), "INBOX")
	want(err)
}

// cancelled is a context that has ended.
func cancelled() context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	cancel()
	return ctx
}
