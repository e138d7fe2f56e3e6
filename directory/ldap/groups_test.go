package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
)

func group(name string) string { return "cn=" + name + ",ou=groups," + base }

func addGroup(s *ldapstub.Server, name string, members ...string) {
	s.Add(group(name), map[string][]string{"objectClass": {"groupOfNames", "group"}, "cn": {name}, "member": members})
}

// nested adds all > (eu > (de > u1, u2), u3), and a circle: de > all. Names
// are spelled in several ways.
func nested(t testing.TB) *ldapstub.Server {
	s := full(t)
	addGroup(s, "all", "CN=EU, OU=groups,  DC=example,DC=test", dn("u3"))
	addGroup(s, "eu", group("de"), dn("u3"))
	addGroup(s, "de", dn("u1"), "UID=u2, ou=people, "+base, group("all"), dn("gone"), "no name")
	addGroup(s, "other", dn("u9"))
	return s
}

func user(uid string) *Entry { return NewEntry(dn(uid), nil) }

func generic(*Config) {}

func activeDirectory(c *Config) { c.Type = ActiveDirectory }

func TestMemberFindsGroupsInGroups(t *testing.T) {
	s := nested(t)
	c := connectTo(t, generic, s)
	for uid, want := range map[string][]string{
		"u1": {group("de"), group("eu"), group("all")},
		"u2": {group("de"), group("eu"), group("all")},
		"u3": {group("all")},
		"u9": nil,
		"no": nil,
	} {
		path, err := c.Member(t.Context(), user(uid), strings.ToUpper(group("all")))
		require.NoError(t, err)
		require.Equal(t, want, path, uid)
	}
	path, err := c.Member(t.Context(), user("u1"), group("missing"))
	require.NoError(t, err)
	require.Empty(t, path)
}

func TestMemberAsksNothingWhenTheEntrySaysIt(t *testing.T) {
	s := nested(t)
	c := connectTo(t, generic, s)
	e := NewEntry(dn("u1"), map[string][]string{"memberOf": {"CN=Staff, " + base}})
	path, err := c.Member(t.Context(), e, "cn=staff,"+base)
	require.NoError(t, err)
	require.Equal(t, []string{"cn=staff," + base}, path)
	require.Zero(t, s.Connections.Load())
}

func TestActiveDirectoryFollowsGroupsItself(t *testing.T) {
	s := nested(t)
	c := connectTo(t, activeDirectory, s)
	for uid, want := range map[string][]string{"u1": {group("all")}, "u3": {group("all")}, "u9": nil} {
		before := s.Searches.Load()
		path, err := c.Member(t.Context(), user(uid), group("all"))
		require.NoError(t, err)
		require.Equal(t, want, path, uid)
		require.Equal(t, before+1, s.Searches.Load(), "one query")
	}
	path, err := c.GroupPath(t.Context(), user("u1"), group("all"))
	require.NoError(t, err)
	require.Equal(t, []string{group("de"), group("eu"), group("all")}, path)
}

func TestGroupsOfFindsEachGroupOnce(t *testing.T) {
	for name, change := range map[string]func(*Config){"generic": generic, "Active Directory": activeDirectory} {
		c := connectTo(t, change, nested(t))
		groups, err := c.GroupsOf(t.Context(), user("u1"))
		require.NoError(t, err)
		require.ElementsMatch(t, []string{group("de"), group("eu"), group("all")}, groups, name)
		groups, err = c.GroupsOf(t.Context(), user("no"))
		require.NoError(t, err)
		require.Empty(t, groups)
	}
}

func TestGroupsAreFoundByMemberOfWhereGroupsNameNoMembers(t *testing.T) {
	s := full(t)
	s.Add(dn("u1"), map[string][]string{"memberOf": {group("de")}})
	s.Add(group("de"), map[string][]string{"memberOf": {group("eu")}})
	s.Add(group("eu"), map[string][]string{"memberOf": {group("de")}})
	c := connectTo(t, func(c *Config) { c.Attributes.Member = "-" }, s)
	path, err := c.GroupPath(t.Context(), user("u1"), group("eu"))
	require.NoError(t, err)
	require.Equal(t, []string{group("de"), group("eu")}, path)
}

func TestMembersAreUsersEachOnceWithoutGroups(t *testing.T) {
	for name, change := range map[string]func(*Config){"generic": generic, "Active Directory": activeDirectory} {
		c := connectTo(t, change, nested(t))
		found, err := c.Members(t.Context(), strings.ToUpper(group("all")))
		require.NoError(t, err)
		var mails []string
		for _, e := range found {
			mails = append(mails, e.Get("mail"))
		}
		slices.Sort(mails)
		require.Equal(t, []string{"u1@example.test", "u2@example.test", "u3@example.test"}, mails, name)
		_, err = c.Members(t.Context(), group("missing"))
		require.ErrorIs(t, err, ErrNoEntry, name)
	}
}

func TestLargeGroupsOfActiveDirectoryComeInRanges(t *testing.T) {
	s := full(t)
	var members []string
	for i := range 32 {
		s.Add(dn(fmt.Sprint("m", i)), map[string][]string{"uid": {"m"}})
		members = append(members, dn(fmt.Sprint("m", i)))
	}
	addGroup(s, "large", members...)
	s.SetMaxValues(10)
	c := connectTo(t, generic, s)
	found, err := c.Members(t.Context(), group("large"))
	require.NoError(t, err)
	require.Len(t, found, 32)
}

func TestTheWalkThroughGroupsIsBounded(t *testing.T) {
	s := full(t)
	addGroup(s, "g0", dn("u1"))
	for i := range 20 {
		addGroup(s, fmt.Sprintf("g%d", i+1), group(fmt.Sprintf("g%d", i)))
	}
	c := connectTo(t, func(c *Config) { c.Groups.Depth, c.Groups.Max = 5, 10 }, s)
	groups, err := c.GroupsOf(t.Context(), user("u1"))
	require.NoError(t, err)
	require.Len(t, groups, 5)
	path, err := c.Member(t.Context(), user("u1"), group("g20"))
	require.NoError(t, err)
	require.Empty(t, path)
	_, err = c.Members(t.Context(), group("g20"))
	require.ErrorIs(t, err, ErrUnavailable)

	few := connectTo(t, func(c *Config) { c.Groups.Depth, c.Groups.Max = 100, 10 }, s)
	_, err = few.GroupsOf(t.Context(), user("u1"))
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = few.Members(t.Context(), group("g20"))
	require.ErrorIs(t, err, ErrUnavailable)

	addGroup(s, "wide", dn("u1"), dn("u2"), dn("u3"))
	narrow := connectTo(t, func(c *Config) { c.MaxEntries = 2 }, s)
	_, err = narrow.Members(t.Context(), group("wide"))
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestAnOutageIsNotAnEmptyGroup(t *testing.T) {
	for _, change := range []func(*Config){generic, activeDirectory} {
		s := nested(t)
		c := connectTo(t, change, s)
		s.Stop()
		_, err := c.Member(t.Context(), user("u1"), group("all"))
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = c.GroupsOf(t.Context(), user("u1"))
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = c.Members(t.Context(), group("all"))
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrNoEntry)
	}
}

func TestNormalDNMakesSpellingsEqual(t *testing.T) {
	for _, same := range [][]string{
		{"cn=a b,dc=x", "CN=A B, DC=X", "cn = a  b , dc = x", `cn=\61 b,dc=x`},
		{`cn=a\,b,dc=x`, `cn=A\2cB,DC=x`},
		{"cn=a+sn=b,dc=x", "SN=b+CN=a,dc=x"},
	} {
		for _, spelling := range same {
			require.Equal(t, NormalDN(same[0]), NormalDN(spelling))
		}
	}
	require.NotEqual(t, NormalDN(`cn=a\,b,dc=x`), NormalDN("cn=a,b=,dc=x"))
	require.Equal(t, "no name", NormalDN(" No Name "))
}
