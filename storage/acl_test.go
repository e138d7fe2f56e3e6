package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func rights(t testing.TB, letters string) Rights {
	t.Helper()
	r, err := ParseRights(letters)
	require.NoError(t, err)
	return r
}

func TestRightsAreWrittenInTheOrderOfTheRFC(t *testing.T) {
	require.Equal(t, "lrswipkxtea", AllRights.String())
	require.Equal(t, "", Rights(0).String())
	require.Equal(t, "lra", (RightAdmin | RightRead | RightLookup).String())
	for r := range AllRights + 1 {
		require.Equal(t, r, rights(t, r.String()))
		require.Equal(t, r, rights(t, r.String()+r.String()))
	}
}

func TestObsoleteRightsStandForThoseThatTookTheirPlace(t *testing.T) {
	for letters, want := range map[string]string{
		"c": "kx", "d": "te", "lrswida": "lrswitea", "cdk": "kxte", "ca": "kxa", "": "", "aetxkpiwsrl": "lrswipkxtea",
	} {
		require.Equal(t, want, rights(t, letters).String(), letters)
	}
	for letters, want := range map[string]string{
		"lr": "lr", "k": "kc", "x": "xc", "t": "td", "e": "ed", "lrswipkxtea": "lrswipkxteacd", "": "",
	} {
		require.Equal(t, want, rights(t, letters).WithObsolete(), letters)
	}
}

func TestUnknownRightsAreRefused(t *testing.T) {
	for _, letters := range []string{"L", "lrQ", "q", "0", "+", "-l", " ", "l r", "\x00", "\xff", "ä", strings.Repeat("l", 1<<20) + "b"} {
		_, err := ParseRights(letters)
		require.ErrorIs(t, err, ErrBadACL, "%.20q", letters)
		_, err = ParseRightsChange("+" + letters)
		require.ErrorIs(t, err, ErrBadACL, "%.20q", letters)
	}
}

func TestChangesOfRightsAreThoseOfSETACL(t *testing.T) {
	for _, c := range []struct{ had, change, want string }{
		{"lrswi", "+cda", "lrswikxtea"},
		{"lrswi", "-wi", "lrs"},
		{"lrswi", "lr", "lr"},
		{"lrswi", "", ""},
		{"lrswi", "+", "lrswi"},
		{"lrswi", "-", "lrswi"},
		{"lrkx", "-c", "lr"},
		{"", "-lr", ""},
	} {
		change, err := ParseRightsChange(c.change)
		require.NoError(t, err)
		require.Equal(t, c.want, change.Apply(rights(t, c.had)).String(), "%s %s", c.had, c.change)
	}
	for _, text := range []string{"++l", "+-l", "l+"} {
		_, err := ParseRightsChange(text)
		require.ErrorIs(t, err, ErrBadACL, text)
	}
}

func TestCleanListsAreSortedAndHaveOneEntryEach(t *testing.T) {
	in := ACL{
		{Identifier: "zoe", Allow: RightRead},
		{Identifier: "bob", Allow: RightRead},
		{Identifier: "nothing"},
		{Identifier: Anyone, Deny: RightAdmin},
		{Identifier: "bob", Allow: RightLookup, Deny: RightInsert},
		{Identifier: "Bob", Allow: RightLookup},
	}
	before := append(ACL(nil), in...)
	clean, err := in.Clean()
	require.NoError(t, err)
	require.Equal(t, ACL{
		{Identifier: "Bob", Allow: RightLookup},
		{Identifier: Anyone, Deny: RightAdmin},
		{Identifier: "bob", Allow: RightLookup | RightRead, Deny: RightInsert},
		{Identifier: "zoe", Allow: RightRead},
	}, clean)
	require.Equal(t, before, in, "the list itself stays")
	again, err := clean.Clean()
	require.NoError(t, err)
	require.True(t, clean.Equal(again))
	for _, empty := range []ACL{nil, {}, {{Identifier: "x"}, {}}} {
		clean, err := empty.Clean()
		require.NoError(t, err)
		require.Nil(t, clean)
	}
}

func TestIdentifiersThatMeanNobodyAreRefused(t *testing.T) {
	for _, id := range []string{"", "group:", "-bob", "-", "@example.test", "a\x00b", "a\nb", "\x7f", "\xff", "a\u0085b"} {
		require.ErrorIs(t, CheckIdentifier(id), ErrBadACL, "%q", id)
		_, err := ACL{{Identifier: id, Allow: RightRead}}.Clean()
		require.ErrorIs(t, err, ErrBadACL, "%q", id)
		_, err = ACL(nil).With(ACE{Identifier: id})
		require.ErrorIs(t, err, ErrBadACL, "%q", id)
	}
	for _, id := range []string{"bob", "bob@example.test", Anyone, "group:staff", "Group:x", "b-c", "日本", "a b", "$team", "@", strings.Repeat("x", MaxIdentifier)} {
		require.NoError(t, CheckIdentifier(id), "%.20q", id)
	}
	_, err := ACL{{Identifier: "bob", Allow: AllRights + 1}}.Clean()
	require.ErrorIs(t, err, ErrBadACL)
	_, err = ACL{{Identifier: "bob", Deny: 1 << 15}}.Clean()
	require.ErrorIs(t, err, ErrBadACL)
}

func TestListsAreBounded(t *testing.T) {
	require.ErrorIs(t, CheckIdentifier(strings.Repeat("x", 64<<10)), ErrLimit)
	_, err := ACL{{Identifier: strings.Repeat("x", MaxIdentifier+1), Deny: RightRead}}.Clean()
	require.ErrorIs(t, err, ErrLimit)

	var many ACL
	for i := range MaxACEs {
		many = append(many, ACE{Identifier: fmt.Sprint("user", i), Allow: RightRead})
	}
	clean, err := append(many, many...).Clean()
	require.NoError(t, err, "the same again is not more")
	require.Len(t, clean, MaxACEs)
	_, err = clean.With(ACE{Identifier: "one more", Allow: RightRead})
	require.ErrorIs(t, err, ErrLimit)
	_, err = clean.With(ACE{Identifier: "user7", Allow: AllRights})
	require.NoError(t, err)

	var long ACL
	for i := range MaxACL/MaxIdentifier + 1 {
		long = append(long, ACE{Identifier: fmt.Sprintf("%0*d", MaxIdentifier, i), Allow: RightRead})
	}
	_, err = long.Clean()
	require.ErrorIs(t, err, ErrLimit)
	_, err = long[1:].Clean()
	require.NoError(t, err)
}

// TestListsChangeAsSETACLAndDELETEACLSay goes through the examples of RFC 4314
// §2 and §3.
func TestListsChangeAsSETACLAndDELETEACLSay(t *testing.T) {
	var list ACL
	change := func(identifier, text string) {
		t.Helper()
		c, err := ParseRightsChange(text)
		require.NoError(t, err)
		before := append(ACL(nil), list...)
		after, err := list.Change(identifier, c)
		require.NoError(t, err)
		require.Equal(t, before, append(ACL(nil), list...), "the list before stays")
		list = after
	}
	change("Fred", "rwipslxetad")
	change("Chris", "lrswi")
	change("Chris", "+cda")
	require.Equal(t, "lrswikxtea", list.Entry("Chris").Allow.String())
	require.Equal(t, "lrswipxtea", list.Entry("Fred").Allow.String())
	change("-Fred", "wetd")
	require.Equal(t, ACE{Identifier: "Fred", Allow: rights(t, "lrswipxtea"), Deny: rights(t, "wte")}, list.Entry("Fred"))
	require.Equal(t, Rights(0), list.Entry("-Fred").Deny)
	change("Fred", "")
	require.Equal(t, ACE{Identifier: "Fred", Deny: rights(t, "wte")}, list.Entry("Fred"), "DELETEACL leaves the negative rights")
	change("-Fred", "-we")
	require.Equal(t, "t", list.Entry("Fred").Deny.String())
	change("-Fred", "")
	change("Chris", "")
	require.Empty(t, list)
	for _, identifier := range []string{"", "-", "--Fred", "group:", "-group:"} {
		_, err := list.Change(identifier, RightsChange{})
		require.ErrorIs(t, err, ErrBadACL, identifier)
	}
}

func TestLevelsAreToldFromTheirRights(t *testing.T) {
	last := Rights(0)
	for l := Viewer; l <= Master; l++ {
		e := l.Entry("bob")
		require.Equal(t, last, e.Allow&last, "%v allows what the one before allows", l)
		require.Greater(t, e.Allow, last, "%v allows more", l)
		require.Zero(t, e.Deny)
		last = e.Allow
	}
	require.Equal(t, AllRights, last)
	require.Equal(t, ACE{Identifier: "bob", Deny: AllRights}, NoAccess.Entry("bob"))
	for l := NoAccess; l <= Master; l++ {
		require.Equal(t, l, l.Entry("bob").Level(), "%v", l)
	}
	for _, e := range []ACE{
		{}, {Allow: RightLookup}, {Allow: viewerRights, Deny: RightAdmin}, {Allow: AllRights, Deny: AllRights}, {Allow: editorRights &^ RightSeen}, Custom.Entry("bob"), Level(77).Entry("bob"),
	} {
		require.Equal(t, Custom, e.Level(), "%v", e)
	}
	require.Equal(t, "no access", NoAccess.String())
	require.Equal(t, "level(9)", Level(9).String())
}
