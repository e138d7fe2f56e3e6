package directorytest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// organizer returns the power under test, of a directory that is filled.
func (b *bench) organizer() directory.Organizer {
	b.t.Helper()
	b.fill()
	o, ok := directory.As[directory.Organizer](b.d)
	if !ok {
		b.t.Skip("the directory has no directory.Organizer")
	}
	return o
}

func (b *bench) groupsOf(account string) []string {
	b.t.Helper()
	m, ok := directory.As[directory.Memberships](b.d)
	require.True(b.t, ok, "who has groups tells who is in them")
	groups, err := m.GroupsOf(b.ctx, account)
	require.NoError(b.t, err)
	return groups
}

func group(name string, members ...string) directory.Group {
	return directory.Group{Name: name, Members: members}
}

var inbox = mail.MustParseAddress

var organizeTests = map[string]func(*testing.T, *bench){
	"GroupsReachEachMemberOnce": func(t *testing.T, b *bench) {
		o := b.organizer()
		b.alias("boss@example.test", "alice@example.test")
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "Alice@example.test", "bob@example.test", "Friend@foreign.test")))
		require.NoError(t, o.SetGroup(b.ctx, group("all@other.test", "team@example.test", "boss@example.test", "carol@other.test", "friend@foreign.test")))
		b.leads("TEAM@example.test", "alice@example.test", "bob@example.test", ">Friend@foreign.test")
		found, err := b.d.Resolve(b.ctx, inbox("all+x@other.test"))
		require.NoError(t, err)
		require.Len(t, found, 4, "alice by two ways and the friend in two spellings are there once")
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "bob@example.test")))
		b.leads("team@example.test", "bob@example.test")
	},
	"GroupsMayBeInEachOther": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.SetGroup(b.ctx, group("a@example.test", "alice@example.test")))
		require.NoError(t, o.SetGroup(b.ctx, group("b@example.test", "bob@example.test", "a@example.test")))
		require.NoError(t, o.SetGroup(b.ctx, group("a@example.test", "alice@example.test", "b@example.test")))
		b.leads("a@example.test", "alice@example.test", "bob@example.test")
		require.Equal(t, []string{"a@example.test", "b@example.test"}, b.groupsOf("bob@example.test"))
	},
	"AGroupWithoutAnybodyIsUnknown": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test")))
		b.fails("team@example.test", directory.ErrUnknown)
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "alice@example.test")))
		require.NoError(t, b.e.SetDisabled(b.ctx, "alice@example.test", directory.On))
		b.fails("team@example.test", directory.ErrDisabled)
	},
	"GroupsOfAnAccountAreAllAboveIt": func(t *testing.T, b *bench) {
		o := b.organizer()
		b.alias("boss@example.test", "alice@example.test")
		require.Empty(t, b.groupsOf("alice@example.test"))
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "boss@example.test")))
		require.NoError(t, o.SetGroup(b.ctx, group("all@example.test", "team@example.test", "bob@example.test")))
		require.Equal(t, []string{"all@example.test", "team@example.test"}, b.groupsOf("ALICE@example.test"))
		require.Equal(t, []string{"all@example.test"}, b.groupsOf("bob@example.test"))
		require.NoError(t, o.RemoveGroup(b.ctx, "team@example.test"))
		require.Empty(t, b.groupsOf("alice@example.test"))
		b.fails("team@example.test", directory.ErrUnknown)
		m, _ := directory.As[directory.Memberships](b.d)
		_, err := m.GroupsOf(b.ctx, "nobody@example.test")
		require.ErrorIs(t, err, directory.ErrUnknown)
	},
	"GroupsAreListedByName": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.SetGroup(b.ctx, group("z@example.test", "bob@example.test", "ALICE@example.test", "bob@example.test")))
		require.NoError(t, o.SetGroup(b.ctx, group("a@example.test")))
		var got []directory.Group
		for g, err := range o.Groups(b.ctx) {
			require.NoError(t, err)
			got = append(got, g)
		}
		require.Equal(t, []directory.Group{group("a@example.test"), group("z@example.test", "alice@example.test", "bob@example.test")}, got)
	},
	"GroupsThatAreRefused": func(t *testing.T, b *bench) {
		o := b.organizer()
		b.alias("sales@example.test", "bob@example.test")
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "bob@example.test")))
		for _, c := range []struct {
			g    directory.Group
			want error
		}{
			{group("alice@example.test"), directory.ErrExists},
			{group("sales@example.test"), directory.ErrExists},
			{group("new@foreign.test"), directory.ErrNotLocal},
			{group("new"), mail.ErrBadAddress},
			{group("new@example.test", "nobody@example.test"), directory.ErrUnknown},
			{group("new@example.test", "no address"), mail.ErrBadAddress},
			{group("new@example.test", strings.Repeat("x", 1000)), mail.ErrBadAddress},
		} {
			require.ErrorIs(t, o.SetGroup(b.ctx, c.g), c.want, "%v", c.g)
		}
		b.fails("new@example.test", directory.ErrUnknown)
		require.ErrorIs(t, b.e.AddAccount(b.ctx, directory.Account{Name: "team@example.test"}), directory.ErrExists)
		require.ErrorIs(t, b.e.AddAlias(b.ctx, inbox("team@example.test"), "bob@example.test"), directory.ErrExists)
		require.ErrorIs(t, o.RemoveGroup(b.ctx, "sales@example.test"), directory.ErrUnknown)
		require.ErrorIs(t, o.RemoveGroup(b.ctx, "nobody@example.test"), directory.ErrUnknown)
	},
	"RemovedAccountsLeaveTheirGroups": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.SetGroup(b.ctx, group("team@example.test", "alice@example.test", "bob@example.test")))
		require.NoError(t, o.SetCatchAll(b.ctx, "example.test", directory.Recipient{Account: "bob@example.test"}))
		require.NoError(t, o.SetFolder(b.ctx, inbox("news@example.test"), directory.Recipient{Account: "bob@example.test", Folder: "News"}))
		b.alias("paper@example.test", "news@example.test")
		require.NoError(t, b.e.RemoveAccount(b.ctx, "bob@example.test"))
		b.leads("team@example.test", "alice@example.test")
		for _, gone := range []string{"news@example.test", "paper@example.test", "nobody@example.test"} {
			b.fails(gone, directory.ErrUnknown)
		}
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "bob@example.test"}))
		require.Empty(t, b.groupsOf("bob@example.test"))
	},
	"AliasesOfDomainsAreTheirDomains": func(t *testing.T, b *bench) {
		o := b.organizer()
		b.alias("sales@example.test", "bob@example.test")
		require.NoError(t, o.AddDomainAlias(b.ctx, "Example.ORG", "example.test"))
		local, err := b.d.Local(b.ctx, "EXAMPLE.org.")
		require.NoError(t, err)
		require.True(t, local)
		b.leads("Alice+x@example.org", "alice@example.test")
		b.leads("sales@example.org", "bob@example.test")
		b.leads("postmaster@example.org", "alice@example.test")
		b.fails("nobody@example.org", directory.ErrUnknown)
		a, err := b.e.Account(b.ctx, "alice@example.org")
		require.NoError(t, err)
		require.Equal(t, "alice@example.test", a.Name)
		b.alias("friend@other.test", "alice@example.org")
		b.leads("friend@other.test", "alice@example.test")

		require.ErrorIs(t, o.AddDomainAlias(b.ctx, "example.org", "other.test"), directory.ErrExists)
		require.ErrorIs(t, o.AddDomainAlias(b.ctx, "other.test", "example.test"), directory.ErrExists)
		require.ErrorIs(t, o.AddDomainAlias(b.ctx, "new.test", "foreign.test"), directory.ErrNotLocal)
		require.ErrorIs(t, o.AddDomainAlias(b.ctx, "new.test", "example.org"), directory.ErrNotLocal)
		require.ErrorIs(t, o.AddDomainAlias(b.ctx, "-.test", "example.test"), mail.ErrBadAddress)
		require.ErrorIs(t, b.e.AddDomain(b.ctx, "example.org"), directory.ErrExists)
		require.ErrorIs(t, b.e.AddAccount(b.ctx, directory.Account{Name: "dora@example.org"}), directory.ErrNotLocal)

		require.NoError(t, o.RemoveDomainAlias(b.ctx, "EXAMPLE.org"))
		require.ErrorIs(t, o.RemoveDomainAlias(b.ctx, "example.org"), directory.ErrUnknown)
		b.fails("alice@example.org", directory.ErrNotLocal)
		_, err = b.e.Account(b.ctx, "alice@example.org")
		require.ErrorIs(t, err, directory.ErrUnknown)
	},
	"ACatchAllGetsWhatIsForNobody": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.AddDomainAlias(b.ctx, "example.org", "example.test"))
		require.NoError(t, o.SetCatchAll(b.ctx, "EXAMPLE.test", directory.Recipient{Account: "bob@example.test", Folder: "Unknown"}))
		b.leads("nobody+x@example.test", "bob@example.test/Unknown")
		b.leads("nobody@example.org", "bob@example.test/Unknown")
		b.leads("alice+x@example.test", "alice@example.test")
		b.leads("postmaster@example.test", "alice@example.test")
		b.fails("nobody@other.test", directory.ErrUnknown)
		require.NoError(t, b.e.SetDisabled(b.ctx, "alice@example.test", directory.On))
		b.fails("alice@example.test", directory.ErrDisabled)
		require.NoError(t, o.SetCatchAll(b.ctx, "example.test", directory.Recipient{Forward: inbox("friend@foreign.test")}))
		b.leads("nobody@example.test", ">friend@foreign.test")
		require.NoError(t, o.SetCatchAll(b.ctx, "example.test", directory.Recipient{}))
		b.fails("nobody@example.test", directory.ErrUnknown)
		_, err := b.e.Account(b.ctx, "nobody@example.test")
		require.ErrorIs(t, err, directory.ErrUnknown, "nobody logs in by a catch-all")

		require.ErrorIs(t, o.SetCatchAll(b.ctx, "foreign.test", directory.Recipient{Account: "bob@example.test"}), directory.ErrNotLocal)
		require.ErrorIs(t, o.SetCatchAll(b.ctx, "example.test", directory.Recipient{Account: "nobody@example.test"}), directory.ErrUnknown)
		require.ErrorIs(t, o.SetCatchAll(b.ctx, "example.test", directory.Recipient{Forward: inbox("nobody@example.test")}), mail.ErrBadAddress)
	},
	"AFolderHasAnAddress": func(t *testing.T, b *bench) {
		o := b.organizer()
		require.NoError(t, o.SetFolder(b.ctx, inbox("News@example.test"), directory.Recipient{Account: "@example.test", Folder: "Announcements"}))
		require.NoError(t, o.SetGroup(b.ctx, group("all@example.test", "news@example.test", "alice@example.test")))
		b.leads("news+x@example.test", "@example.test/Announcements")
		b.leads("all@example.test", "@example.test/Announcements", "alice@example.test")
		require.NoError(t, o.SetFolder(b.ctx, inbox("news@example.test"), directory.Recipient{Account: "bob@example.test", Folder: "News"}))
		b.leads("news@example.test", "bob@example.test/News")
		require.NoError(t, b.e.SetDisabled(b.ctx, "bob@example.test", directory.On))
		b.fails("news@example.test", directory.ErrDisabled)

		to := directory.Recipient{Account: "bob@example.test", Folder: "News"}
		require.ErrorIs(t, o.SetFolder(b.ctx, inbox("alice@example.test"), to), directory.ErrExists)
		require.ErrorIs(t, o.SetFolder(b.ctx, inbox("x@foreign.test"), to), directory.ErrNotLocal)
		require.ErrorIs(t, o.SetFolder(b.ctx, inbox("x@example.test"), directory.Recipient{Account: "@foreign.test", Folder: "X"}), directory.ErrUnknown)
		require.ErrorIs(t, o.SetFolder(b.ctx, inbox("x@example.test"), directory.Recipient{Forward: inbox("a@foreign.test")}), mail.ErrBadAddress)
		require.ErrorIs(t, o.SetFolder(b.ctx, inbox("x@example.test"), directory.Recipient{}), directory.ErrUnknown)
		require.NoError(t, o.SetFolder(b.ctx, inbox("news@example.test"), directory.Recipient{}))
		b.fails("news@example.test", directory.ErrUnknown)
		b.leads("all@example.test", "alice@example.test")
	},
}
