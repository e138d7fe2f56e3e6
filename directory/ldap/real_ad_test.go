package ldap

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// TestP9R344ActiveDirectory has all tests with a real Active Directory, since to
// set one up takes long.
func TestP9R344ActiveDirectory(t *testing.T) {
	realtest.RequireSamba(t)
	s, err := realtest.StartSambaAD(t.Context(), realtest.SambaOptions{})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	for _, c := range []struct {
		name string
		test func(*testing.T, *realtest.SambaAD)
	}{
		{"UPN, sAMAccountName and mail find a user", adNamesFindAUser},
		{"binds, and why they fail", adBinds},
		{"nested groups by the rule in chain", adGroups},
		{"TLS is verified", adTLS},
		{"anonymous search is refused", adAnonymous},
		{"a host attribute of one's own choice", adHost},
		{"more entries than a page", adPages},
		{"killed and restarted", adOutage},
		{"Watch tells what changes", adWatch},
		{"Watch without the right to replicate", adWatchWithoutRight},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
}

// atSamba is a configuration whose searches are bound as an ordinary user.
func atSamba(s *realtest.SambaAD) Config {
	return Config{
		Type: ActiveDirectory, URIs: []string{s.SecureURI()}, TLS: testcert.Client(), Base: realtest.SambaBase,
		BindDN: realtest.SambaReader, BindPassword: realtest.SambaPassword,
		Timeout: 20 * time.Second, Poll: 50 * time.Millisecond,
	}
}

// adNames are the names of a user of realtest.SambaAD.
func adNames(name string, more ...string) []string {
	return append([]string{name, name + "@" + realtest.SambaRealm, name + "@example.test"}, more...)
}

// sameChange compares without order of names.
func sameChange(t *testing.T, want, got Change) {
	t.Helper()
	require.Equal(t, want.DN, got.DN)
	require.Equal(t, want.All, got.All)
	require.ElementsMatch(t, want.Old, got.Old)
	require.ElementsMatch(t, want.New, got.New)
}

// about returns the next change that concerns an entry.
func (f *followed) about(t *testing.T, dn string) Change {
	t.Helper()
	for {
		if c := f.next(); c.DN == dn || c.All {
			return c
		}
	}
}

func adWatch(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.BindDN = realtest.SambaAdmin
	f := follow(t, connectReal(t, c))
	user5 := adNames("user5", "alias5@example.test")
	require.NoError(t, s.Set(realtest.SambaUser(5), "mail", "new@example.test"))
	after := append([]string{"new@example.test"}, user5...) // still among his proxyAddresses
	sameChange(t, Change{DN: realtest.SambaUser(5), Old: user5, New: after}, f.next())
	require.NoError(t, s.Set(realtest.SambaUser(5), "proxyAddresses"))
	last := []string{"user5", "user5@ad.example.test", "user5@example.test", "new@example.test"}
	sameChange(t, Change{DN: realtest.SambaUser(5), Old: after, New: last}, f.next())

	zoe := "CN=Zoe," + realtest.SambaUsers
	require.NoError(t, s.Add(map[string]realtest.Attributes{zoe: realtest.SambaAccount("zoe", nil)}))
	names := []string{"zoe", "zoe@ad.example.test"}
	sameChange(t, Change{DN: zoe, New: names}, f.about(t, zoe))
	require.NoError(t, s.Rename(zoe, "CN=Zara"))
	zara := "CN=Zara," + realtest.SambaUsers
	sameChange(t, Change{DN: zara, Old: names, New: names}, f.about(t, zara))
	require.NoError(t, s.Delete(zara))
	sameChange(t, Change{DN: zara, Old: names}, f.about(t, zara))

	s.Kill()
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Set(realtest.SambaUser(6), "mail", "six@example.test"))
	require.Contains(t, f.about(t, realtest.SambaUser(6)).Names(), "six@example.test")
}

func adWatchWithoutRight(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.Groups.Required = realtest.SambaGroup("outer")
	f := follow(t, connectReal(t, c))
	require.NoError(t, s.Set(realtest.SambaUser(7), "mail", "seven@example.test"))
	got := f.about(t, realtest.SambaUser(7))
	require.Contains(t, got.Old, "user7@example.test")
	require.Contains(t, got.New, "seven@example.test")
	require.NoError(t, s.Set(realtest.SambaGroup("inner"), "member", realtest.SambaUser(8), realtest.SambaUser(0)))
	require.True(t, f.next().All)

	c.BindDN, c.BindPassword = "", ""
	anonymous := startWatch(t, connectReal(t, c))
	<-anonymous.ended
	require.ErrorIs(t, anonymous.err, ErrNoWatch)
}

func adNamesFindAUser(t *testing.T, s *realtest.SambaAD) {
	c := connectReal(t, atSamba(s))
	for _, user := range []string{"user1", "user1@ad.example.test", "user1@example.test", "USER1@Example.Test"} {
		e, err := c.Lookup(t.Context(), user)
		require.NoError(t, err, user)
		require.Equal(t, realtest.SambaUser(1), e.DN)
		require.ElementsMatch(t, []string{"SMTP:user1@example.test", "smtp:alias1@example.test"}, e.All("proxyAddresses"))
	}
	for _, user := range []string{"nobody", "nobody@example.test", "*", "user*", "user1)(cn=*", "outer"} {
		_, err := c.Lookup(t.Context(), user)
		require.ErrorIs(t, err, ErrNoEntry, user)
	}
}

func adBinds(t *testing.T, s *realtest.SambaAD) {
	config := atSamba(s)
	c := connectReal(t, config)
	e, err := c.Lookup(t.Context(), "user1")
	require.NoError(t, err)
	require.NoError(t, c.Bind(t.Context(), e.DN, realtest.SambaPassword))
	require.ErrorIs(t, c.Bind(t.Context(), e.DN, "wrong"), ErrPassword)
	require.ErrorIs(t, c.Bind(t.Context(), e.DN, ""), ErrPassword)
	require.ErrorIs(t, c.Bind(t.Context(), realtest.SambaPerson("nobody"), realtest.SambaPassword), ErrPassword)
	err = c.Bind(t.Context(), realtest.SambaPerson("disabled"), realtest.SambaPassword)
	require.ErrorIs(t, err, ErrDisabled)
	require.NotErrorIs(t, err, ErrPassword)
	e, err = c.Lookup(t.Context(), "disabled", config.AccountAttributes()...)
	require.NoError(t, err)
	require.True(t, config.Disabled(e))
}

func adGroups(t *testing.T, s *realtest.SambaAD) {
	c := connectReal(t, atSamba(s))
	inner, middle, outer := realtest.SambaGroup("inner"), realtest.SambaGroup("middle"), realtest.SambaGroup("outer")
	for user, in := range map[string]bool{"user0": true, "user1": true, "user2": true, "user3": false} {
		e, err := c.Lookup(t.Context(), user)
		require.NoError(t, err)
		path, err := c.Member(t.Context(), e, outer)
		require.NoError(t, err)
		require.Equal(t, in, len(path) > 0, user)
	}
	e, err := c.Lookup(t.Context(), "user0")
	require.NoError(t, err)
	groups, err := c.GroupsOf(t.Context(), e)
	require.NoError(t, err)
	require.Subset(t, groups, []string{inner, middle, outer})
	members, err := c.Members(t.Context(), outer)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{realtest.SambaUser(0), realtest.SambaUser(1), realtest.SambaUser(2)}, dns(members))
}

func adTLS(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.TLS = testcert.Client()
	c.TLS.ServerName = "" // the address, which the certificate does not have
	_, err := connectReal(t, c).Lookup(t.Context(), "user1")
	require.ErrorIs(t, err, ErrUnavailable)
	c = atSamba(s)
	c.URIs, c.StartTLS = []string{s.URI()}, true
	_, err = connectReal(t, c).Lookup(t.Context(), "user1")
	require.NoError(t, err)
}

func adAnonymous(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.BindDN, c.BindPassword = "", ""
	_, err := connectReal(t, c).Lookup(t.Context(), "user1")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "without authentication")
}

func adHost(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.Attributes.Host = "physicalDeliveryOfficeName"
	require.NoError(t, s.Set(realtest.SambaUser(1), c.Attributes.Host, "backend1.example.test"))
	e, err := connectReal(t, c).Lookup(t.Context(), "user1")
	require.NoError(t, err)
	require.Equal(t, "backend1.example.test", e.Get(c.Attributes.Host))
}

func adPages(t *testing.T, s *realtest.SambaAD) {
	// The schema has the attributes of Active Directory, some 1,400.
	all := Query{Base: "CN=Schema,CN=Configuration," + realtest.SambaBase, Scope: OneLevel, Filter: "(objectClass=attributeSchema)", Attributes: []string{"cn"}}
	c := atSamba(s)
	found, err := connectReal(t, c).Search(t.Context(), all)
	require.ErrorIs(t, err, ErrUnavailable, "more than MaxEntries")
	require.Empty(t, found)
	c.MaxEntries = 5000
	found, err = connectReal(t, c).Search(t.Context(), all)
	require.NoError(t, err)
	require.Greater(t, len(found), 1000)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(dns(found)))), len(found))
}

func adOutage(t *testing.T, s *realtest.SambaAD) {
	config := atSamba(s)
	config.Retry = 50 * time.Millisecond
	c := connectReal(t, config)
	_, err := c.Lookup(t.Context(), "user1")
	require.NoError(t, err)
	s.Kill()
	_, err = c.Lookup(t.Context(), "user1")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, c.Bind(t.Context(), realtest.SambaUser(1), realtest.SambaPassword), ErrUnavailable)
	require.NoError(t, s.Restart(t.Context()))
	require.Eventually(t, func() bool {
		_, err := c.Lookup(t.Context(), "user1")
		return err == nil && c.Bind(t.Context(), realtest.SambaUser(1), realtest.SambaPassword) == nil
	}, long, 10*time.Millisecond)
}
