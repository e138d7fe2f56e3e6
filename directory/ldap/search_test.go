package ldap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLookupFindsAUserByTheFilter(t *testing.T) {
	c := connectTo(t, nil, full(t))
	e, err := c.Lookup(t.Context(), "u3@example.test", "userPassword")
	require.NoError(t, err)
	require.Equal(t, dn("u3"), e.DN)
	require.Equal(t, "backend.example.test", e.Get("MAILHOST"))
	require.Equal(t, []string{"pw"}, e.All("userpassword"))
	require.Empty(t, e.All("cn"))
	for _, nobody := range []string{"nobody@example.test", "", "\x00", "u3@example.test\x00", "\xff", strings.Repeat("x", 64<<10)} {
		_, err = c.Lookup(t.Context(), nobody)
		require.ErrorIs(t, err, ErrNoEntry)
	}
}

func TestLookupReadsNoPasswordUnlessAsked(t *testing.T) {
	c := connectTo(t, nil, full(t))
	e, err := c.Lookup(t.Context(), "u3@example.test")
	require.NoError(t, err)
	require.Empty(t, e.All("userPassword"))
}

func TestA01WhatAUserIsCalledIsNoFilter(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.Filter = "(|(mail=%e)(uid=%u))" }, s)
	for _, hostile := range []string{"*", "u*", "admin)(uid=*", `\28`, `\2a`, "*)(objectClass=*", "u0)(|(uid=*", "a,ou=x", "ü", "(", ")", `\`} {
		_, err := c.Lookup(t.Context(), hostile)
		require.ErrorIs(t, err, ErrNoEntry, hostile)
	}
	for _, odd := range []string{"*", "admin)(uid=*", `\28`, "ü@b", "x y "} {
		s.Add("uid=odd,"+base, map[string][]string{"uid": {strings.TrimSuffix(odd, "@b")}})
		e, err := c.Lookup(t.Context(), odd)
		require.NoError(t, err, odd)
		require.Equal(t, "uid=odd,"+base, e.DN)
	}
}

func TestA04TwoEntriesAreAnErrorOrTheFirstBySwitch(t *testing.T) {
	s := full(t)
	for _, serverLimit := range []int{0, 1} { // the server's own limit hides the second entry
		s.SetSizeLimit(serverLimit)
		_, err := connectTo(t, nil, s).Lookup(t.Context(), "twin@example.test")
		require.ErrorIs(t, err, ErrSeveral)
		require.NotErrorIs(t, err, ErrUnavailable)
		first := connectTo(t, func(c *Config) { c.Several = SeveralIsFirst }, s)
		e, err := first.Lookup(t.Context(), "twin@example.test")
		require.NoError(t, err)
		require.Equal(t, dn("twin1"), e.DN)
	}
}

func TestA04ASizeLimitNeverMakesAPartLookLikeTheWhole(t *testing.T) {
	s := full(t)
	for _, way := range []Several{SeveralIsError, SeveralIsFirst} {
		c := connectTo(t, func(c *Config) { c.Several = way }, s)
		s.SetSizeLimit(4)
		_, err := c.Search(t.Context(), Query{Filter: "(uid=u*)"})
		require.ErrorIs(t, err, ErrUnavailable)
		require.True(t, isUp(c, 0), "the question was too large, the server works")
		s.SetSizeLimit(0)
		found, err := c.Search(t.Context(), Query{Filter: "(uid=u*)"})
		require.NoError(t, err)
		require.Len(t, found, 10)
	}
	small := connectTo(t, func(c *Config) { c.MaxEntries = 9 }, s)
	_, err := small.Search(t.Context(), Query{Filter: "(uid=u*)"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "more than 9 entries")
}

func TestA04ATooLargeAttributeIsUnavailableAndNoReasonToGiveTheServerUp(t *testing.T) {
	s := full(t)
	s.Add(dn("big"), map[string][]string{"mail": {"big@example.test"}, "mailHost": {strings.Repeat("x", 10<<20)}})
	c := connectTo(t, nil, s)
	_, err := c.Lookup(t.Context(), "big@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, errTooMuch)
	require.True(t, isUp(c, 0))
	_, err = c.Lookup(t.Context(), "u1@example.test")
	require.NoError(t, err)
}

func TestAMissingBaseIsNotAnUnknownUser(t *testing.T) {
	c := connectTo(t, func(c *Config) { c.Base = "dc=elsewhere,dc=test" }, full(t))
	_, err := c.Lookup(t.Context(), "u1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrNoEntry)
	require.ErrorContains(t, err, "search of dc=elsewhere,dc=test: result 32 (No Such Object)")
}

func TestAnEntryThatIsAskedForByNameMayBeMissing(t *testing.T) {
	c := connectTo(t, nil, full(t))
	found, err := c.Search(t.Context(), Query{Base: dn("nobody"), Scope: Base, Filter: anything})
	require.NoError(t, err)
	require.Empty(t, found)
	_, err = c.Search(t.Context(), Query{Base: "ou=nowhere," + base, Filter: anything})
	require.ErrorIs(t, err, ErrUnavailable)
	require.True(t, isUp(c, 0))
}

func TestSearchesAreBoundAsConfigured(t *testing.T) {
	s := full(t)
	s.RequireBind()
	_, err := connectTo(t, nil, s).Lookup(t.Context(), "u1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "a successful bind must be completed")

	bound := connectTo(t, func(c *Config) { c.BindDN, c.BindPassword = dn("u0"), "pw" }, s)
	_, err = bound.Lookup(t.Context(), "u1@example.test")
	require.NoError(t, err)

	wrong := connectTo(t, func(c *Config) { c.BindDN, c.BindPassword = dn("u0"), "hush-hush" }, s)
	_, err = wrong.Lookup(t.Context(), "u1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrPassword)
	require.ErrorContains(t, err, s.URI()+": bind as "+dn("u0")+": result 49 (Invalid Credentials)")
	require.NotContains(t, err.Error(), "hush")
}

func TestLargeAnswersOfActiveDirectoryComeInPages(t *testing.T) {
	s := full(t)
	for i := range 1200 {
		s.Add(fmt.Sprintf("cn=%d,%s", i, base), map[string][]string{"cn": {"many"}})
	}
	s.SetSizeLimit(1000)
	c := connectTo(t, func(c *Config) { c.Type, c.MaxEntries = ActiveDirectory, 2000 }, s)
	found, err := c.Search(t.Context(), Query{Filter: "(cn=many)"})
	require.NoError(t, err)
	require.Len(t, found, 1200)
	require.Equal(t, "cn=1199,"+base, found[1199].DN)
}
