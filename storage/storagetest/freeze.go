package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// freezer returns the power, or skips the test.
func (b *bench) freezer() storage.Freezer {
	f, ok := storage.As[storage.Freezer](b.Store)
	if !ok {
		b.Skip("no Freezer")
	}
	return f
}

var freezeTests = map[string]func(*bench){
	"NothingOfAFrozenAccountChanges": func(b *bench) {
		f := b.freezer()
		require.ErrorIs(b, f.Freeze(b.ctx(), "nobody"), storage.ErrNoMailbox)
		m, a := b.box("p/q"), b.account(alice)
		m.add(3)
		before, names := m.status(), b.names(a)
		require.NoError(b, f.Freeze(b.ctx(), alice))
		require.NoError(b, f.Freeze(b.ctx(), alice))
		b.frozen(a, m)
		require.Equal(b, before, m.status())
		require.Equal(b, names, b.names(a))
		require.Equal(b, "Subject: 1\r\n\r\ntext 1\r\n", m.text(2), "it can be read")
		frozen, err := f.Frozen(b.ctx())
		require.NoError(b, err)
		require.Equal(b, []string{alice}, frozen)
		require.Error(b, f.Freeze(cancelled(), alice))

		require.NoError(b, f.Thaw(b.ctx(), alice))
		require.NoError(b, f.Thaw(b.ctx(), alice))
		m.add(1)
		b.deliver("x", storage.Target{User: alice})
		require.NoError(b, b.account(alice).Create(b.ctx(), "y", storage.NewMailbox{}))
		frozen, err = f.Frozen(b.ctx())
		require.NoError(b, err)
		require.Empty(b, frozen)
	},
	"OthersOfADeliveryToAFrozenAccountAreServed": func(b *bench) {
		f := b.freezer()
		b.account(alice)
		require.NoError(b, f.Freeze(b.ctx(), alice))
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: alice}, {User: "bob@example.test"}}})
		require.NoError(b, err)
		require.ErrorIs(b, r[0].Err, storage.ErrFrozen)
		require.NoError(b, r[1].Err)
		if room, ok := storage.As[storage.RoomChecker](b.Store); ok {
			require.ErrorIs(b, room.CheckRoom(b.ctx(), alice, 1), storage.ErrFrozen)
		}
	},
	"AFrozenAccountCanBeRemoved": func(b *bench) {
		f := b.freezer()
		r, ok := storage.As[storage.Remover](b.Store)
		if !ok {
			b.Skip("no Remover")
		}
		b.account(alice)
		require.NoError(b, f.Freeze(b.ctx(), alice))
		require.NoError(b, r.RemoveAccount(b.ctx(), alice))
		b.deliver("x", storage.Target{User: alice})
	},
}

// frozen tries every change of an account.
func (b *bench) frozen(a storage.Account, m *box) {
	b.Helper()
	ctx, all := b.ctx(), imap.UIDSet{{Start: 1}}
	_, err := b.Account(ctx, alice)
	require.ErrorIs(b, err, storage.ErrFrozen)
	_, err = m.Append(ctx, storage.NewMessage{Body: body("x")})
	require.ErrorIs(b, err, storage.ErrFrozen)
	_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: all, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen)})
	require.ErrorIs(b, err, storage.ErrFrozen)
	_, err = m.Expunge(ctx, all)
	require.ErrorIs(b, err, storage.ErrFrozen)
	_, err = m.Copy(ctx, all, "INBOX")
	require.ErrorIs(b, err, storage.ErrFrozen)
	_, err = m.Move(ctx, all, "INBOX")
	require.ErrorIs(b, err, storage.ErrFrozen)
	for name, change := range map[string]func() error{
		"create":      func() error { return a.Create(ctx, "x", storage.NewMailbox{}) },
		"rename":      func() error { return a.Rename(ctx, "p/q", "x") },
		"delete":      func() error { return a.Delete(ctx, "p/q") },
		"subscribe":   func() error { return a.Subscribe(ctx, "x") },
		"unsubscribe": func() error { return a.Unsubscribe(ctx, "INBOX") },
	} {
		require.ErrorIs(b, change(), storage.ErrFrozen, name)
	}
	if x, ok := storage.As[storage.Annotations](a); ok {
		require.ErrorIs(b, x.Annotate(ctx, "", storage.Annotation{Name: "/comment", Value: []byte("x")}), storage.ErrFrozen)
	}
	if x, ok := storage.As[storage.ACLs](a); ok {
		require.ErrorIs(b, x.SetACL(ctx, "p", storage.ACL{{Identifier: "bob", Allow: 1}}), storage.ErrFrozen)
	}
	if x, ok := storage.As[storage.Quotas](a); ok {
		require.ErrorIs(b, x.SetQuota(ctx, &storage.Quota{Bytes: 1}), storage.ErrFrozen)
	}
	if x, ok := storage.As[storage.Replacer](m.Mailbox); ok {
		_, err := x.Replace(ctx, 1, storage.NewMessage{Body: body("x")})
		require.ErrorIs(b, err, storage.ErrFrozen)
	}
}
