package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

func (b *bench) shared(identifiers ...string) []string {
	b.Helper()
	s, ok := storage.As[storage.Sharer](b.Store)
	if !ok {
		b.Skip("no Sharer")
	}
	users, err := s.SharedWith(b.ctx(), identifiers...)
	require.NoError(b, err)
	return users
}

var sharedTests = map[string]func(*bench){
	"FindMakesNoAccount": func(b *bench) {
		f, ok := storage.As[storage.Finder](b.Store)
		if !ok {
			b.Skip("no Finder")
		}
		for _, name := range []string{"", "nobody", "@", alice, strings.Repeat("x", storage.MaxName+1)} {
			for range 2 {
				_, err := f.Find(b.ctx(), name)
				require.ErrorIs(b, err, storage.ErrNoMailbox, "%.20q", name)
			}
		}
		b.box("x").add(1)
		a, err := f.Find(b.ctx(), alice)
		require.NoError(b, err)
		m, err := a.Mailbox(b.ctx(), "x")
		require.NoError(b, err)
		require.Equal(b, b.box("x").ID(), m.ID())
		_, err = f.Find(cancelled(), alice)
		require.Error(b, err)
		if r, ok := storage.As[storage.Remover](b.Store); ok {
			require.NoError(b, r.RemoveAccount(b.ctx(), alice))
			_, err = f.Find(b.ctx(), alice)
			require.ErrorIs(b, err, storage.ErrNoMailbox)
		}
	},
	"AccountsThatShareAreKnown": func(b *bench) {
		a, other := b.access(alice), b.access(bob)
		require.Empty(b, b.shared("carol", storage.Anyone))
		b.box("p/q")
		a.set("p/q", reads("carol"))
		other.set("", reads(storage.Anyone))
		require.Equal(b, []string{alice}, b.shared("carol"))
		require.Equal(b, []string{bob}, b.shared(storage.Anyone))
		require.Equal(b, []string{alice, bob}, b.shared(storage.Anyone, "carol", "group:x"))
		a.set("p", reads("carol"))
		a.set("p/q", nil)
		require.Equal(b, []string{alice}, b.shared("carol", "carol"), "another list allows it still")
		a.set("p", storage.ACL{{Identifier: "carol", Deny: storage.AllRights}})
		require.Empty(b, b.shared("carol"), "what is denied is not shared")
		a.set("p", storage.ACL{{Identifier: "carol", Allow: storage.RightRead, Deny: storage.RightRead | storage.RightLookup}})
		require.Empty(b, b.shared("carol"))
		require.Empty(b, b.shared())
		require.Empty(b, b.shared("", "car", "carol2", "-carol", "bad\x00one", "Carol"), "identifiers are taken as they are")
	},
	"SharesGoWhereTheirMailboxGoes": func(b *bench) {
		a := b.access(alice)
		b.box("p/q")
		a.set("p/q", reads("carol"))
		require.NoError(b, a.Rename(b.ctx(), "p", "r"))
		require.Equal(b, []string{alice}, b.shared("carol"))
		a.set("r", reads("dave"))
		b.box("r/new") // with a copy of the list above it
		a.set("r", nil)
		require.Equal(b, []string{alice}, b.shared("dave"))
		require.NoError(b, a.Delete(b.ctx(), "r/new"))
		require.Empty(b, b.shared("dave"))
		require.NoError(b, a.Delete(b.ctx(), "r/q"))
		require.Empty(b, b.shared("carol"))
		a.set("", reads("erin"))
		a.set("INBOX", reads("frank"))
		if r, ok := storage.As[storage.Remover](b.Store); ok {
			require.NoError(b, r.RemoveAccount(b.ctx(), alice))
			require.Empty(b, b.shared("erin", "frank"))
			b.account(alice)
			require.Empty(b, b.shared("erin", "frank"))
		}
	},
	"SharesAreWhatTheListsSay": sharesAreWhatTheListsSay,
}

// sharesAreWhatTheListsSay changes trees and lists at random and compares with
// what all lists say.
func sharesAreWhatTheListsSay(b *bench) {
	users, identifiers := []string{alice, bob, public}, []string{storage.Anyone, "carol", "group:a", "group:ab"}
	r := rand.New(rand.NewPCG(7, 11))
	name := func() string {
		parts := []string{"a", "b", "c"}[:1+r.IntN(3)]
		return strings.Join(parts[r.IntN(len(parts)):], storage.Separator)
	}
	for range 300 {
		a := b.access(users[r.IntN(len(users))])
		switch r.IntN(5) {
		case 0:
			_ = a.Create(b.ctx(), name(), storage.NewMailbox{})
		case 1:
			_ = a.Delete(b.ctx(), name())
		case 2:
			_ = a.Rename(b.ctx(), name(), name())
		default:
			e := storage.ACE{Identifier: identifiers[r.IntN(len(identifiers))], Allow: storage.Rights(r.IntN(4)), Deny: storage.Rights(r.IntN(4))}
			_ = a.SetACL(b.ctx(), []string{"", name()}[r.IntN(2)], storage.ACL{e})
		}
	}
	for _, id := range identifiers {
		var want []string
		for _, user := range users {
			a := b.access(user)
			for _, mailbox := range append(b.names(a.Account), "") {
				if list, err := a.ACL(b.ctx(), mailbox); err == nil && list.Entry(id).Shares() && !slices.Contains(want, user) {
					want = append(want, user)
				}
			}
		}
		slices.Sort(want)
		require.Equal(b, want, b.shared(id), fmt.Sprint("shared with ", id))
	}
}
