package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var powerTests = map[string]func(*bench){
	"WatchAllTellsWhoseChangeItIs":   watchAllTellsWhoseChangeItIs,
	"WatchAllTellsOfDeliveries":      watchAllTellsOfDeliveries,
	"WatchAllTellsOfRemovedAccounts": watchAllTellsOfRemovedAccounts,
	"WatchAllIsInOrder":              watchAllIsInOrder,
	"WatchAllEndsWithStop":           watchAllEndsWithStop,
	"AStoreFeedFollowsAllAccounts":   storeFeedFollowsAllAccounts,
	"RecentIsTakenOnce": func(b *bench) {
		m := b.box("x")
		r, ok := storage.As[storage.Recenter](m.Mailbox)
		if !ok {
			b.Skip("no Recenter")
		}
		take := func() imap.UID {
			b.Helper()
			first, err := r.TakeRecent(b.ctx())
			require.NoError(b, err)
			return first
		}
		m.add(3)
		require.EqualValues(b, 3, m.status().Recent)
		m.expunge(2)
		require.EqualValues(b, 2, m.status().Recent)
		require.LessOrEqual(b, take(), imap.UID(1))
		require.Zero(b, m.status().Recent)
		require.EqualValues(b, 4, take())
		m.add(2)
		require.EqualValues(b, 2, m.status().Recent)
		m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen)
		require.EqualValues(b, 2, m.status().Recent)
		require.EqualValues(b, 4, take())
		require.EqualValues(b, 6, take())
		_, err := r.TakeRecent(cancelled())
		require.Error(b, err)
	},
	"RemoveAccount": func(b *bench) {
		r, ok := storage.As[storage.Remover](b.Store)
		if !ok {
			b.Skip("no Remover")
		}
		require.NoError(b, r.RemoveAccount(b.ctx(), "nobody"))
		m := b.box("p/q")
		m.add(3)
		a := b.account(alice)
		require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
		w := b.watch(alice)
		require.NoError(b, r.RemoveAccount(b.ctx(), alice))
		w.mu.Lock()
		require.Contains(b, w.got, storage.Change{Mailbox: m.ID()})
		require.Contains(b, w.got, storage.Change{})
		w.mu.Unlock()
		deadMailbox(m)
		_, err := a.Mailboxes(b.ctx())
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.ErrorIs(b, a.Create(b.ctx(), "x", storage.NewMailbox{}), storage.ErrNoMailbox)
		_, err = a.Mailbox(b.ctx(), "INBOX")
		require.ErrorIs(b, err, storage.ErrNoMailbox)

		fresh := b.account(alice)
		require.NotContains(b, b.names(fresh), "p/q")
		require.NotContains(b, b.names(fresh), "ghost")
		require.NotEqual(b, m.ID(), b.box("p/q").ID())
		require.Empty(b, b.box("p/q").uids())
		_, err = a.Mailboxes(b.ctx())
		require.ErrorIs(b, err, storage.ErrNoMailbox, "the old account stays gone")
		require.NoError(b, r.RemoveAccount(b.ctx(), alice))
		b.deliver("x", storage.Target{User: alice})
		require.Len(b, b.box("INBOX").uids(), 1)
	},
}
