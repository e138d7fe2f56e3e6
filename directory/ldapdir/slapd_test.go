package ldapdir_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/directorytest"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func startSlapd(t *testing.T) *realtest.Slapd {
	t.Helper()
	realtest.Require(t, "slapd")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := realtest.StartSlapd(ctx, realtest.SlapdOptions{Global: accountLock})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// accountLock is the attribute by which other servers than OpenLDAP say that
// an account is closed.
const accountLock = `attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )`

func connect(t *testing.T, s *realtest.Slapd, c ldap.Config) *ldap.Connector {
	t.Helper()
	c.Type, c.URIs = ldap.OpenLDAP, []string{s.URI()}
	c.BindDN, c.BindPassword = realtest.SlapdReader, realtest.SlapdReaderPassword
	if c.Base == "" {
		c.Base = realtest.SlapdBase
	}
	connector, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connector.Close()) })
	return connector
}

// slapdTree is what an administrator does below one entry, of which all is in
// base otherwise.
type slapdTree struct {
	*realtest.Slapd
	base string
}

func (s slapdTree) in(dns ...string) (moved []string) {
	for _, dn := range dns {
		moved = append(moved, strings.TrimSuffix(dn, base)+s.base)
	}
	return moved
}

func (s slapdTree) Add(dn string, a map[string][]string) error {
	with := realtest.Attributes(maps.Clone(a))
	if a["member"] != nil {
		with["member"] = s.in(a["member"]...)
	}
	return s.Slapd.Add(s.in(dn)[0], with)
}

func (s slapdTree) Set(dn, attribute string, values ...string) error {
	if attribute == "member" {
		values = s.in(values...)
	}
	return s.Slapd.Set(s.in(dn)[0], attribute, values...)
}

func (s slapdTree) Delete(dn string) error { return s.Slapd.Delete(s.in(dn)[0]) }

func TestEntriesOfARealServerKeepThePromisesOfADirectory(t *testing.T) {
	s := startSlapd(t)
	n := 0
	directorytest.RunLookups(t, func(t *testing.T) directory.Directory {
		n++
		name := fmt.Sprintf("test%d", n)
		to := slapdTree{s, "ou=" + name + "," + base}
		require.NoError(t, s.Add(to.base, realtest.Attributes{"objectClass": {"organizationalUnit"}, "ou": {name}}))
		for _, unit := range []string{people, groups} {
			require.NoError(t, to.Add(unit, realtest.Attributes{"objectClass": {"organizationalUnit"}}))
		}
		// The attribute mail is of ASCII alone (RFC 4524 §2.16), and some of the
		// names are not.
		c := ldap.Config{Base: to.base, Attributes: ldap.Attributes{Mail: "displayName"}, Filter: "(displayName=%e)"}
		return newEdited(t, connect(t, s, c), to)
	})
}

func TestAddressesOfARealServersUsersAndGroups(t *testing.T) {
	s := startSlapd(t)
	for _, cn := range []string{"outer", "ring1"} {
		require.NoError(t, s.Set(realtest.SlapdGroup(cn), "objectClass", "groupOfNames", "extensibleObject"))
		require.NoError(t, s.Set(realtest.SlapdGroup(cn), "mail", cn+"@example.test"))
	}
	require.NoError(t, s.Set(realtest.SlapdUser(3), "mailLocalAddress", "@example.test"))
	d, err := ldapdir.New(connect(t, s, ldap.Config{}), ldapdir.Options{Domains: []string{"example.test"}})
	require.NoError(t, err)
	leads(t, d, "user0@example.test", account("user0@example.test"))
	leads(t, d, "Alias1+tag@Example.test", account("user1@example.test"))
	leads(t, d, "forward@example.test", foreign("elsewhere@example.org"))
	leads(t, d, "nobody@example.test", account("user3@example.test"))
	leads(t, d, "*@example.test", account("user3@example.test"))
	leads(t, d, "ring1@example.test", account("user3@example.test"))
	leads(t, d, "outer@example.test", account("user0@example.test"), account("user1@example.test"), account("user2@example.test"))
	fails(t, d, "twin@example.test", directory.ErrUnavailable)
	a, err := d.Account(t.Context(), "USER1")
	require.NoError(t, err)
	require.Equal(t, directory.Account{
		Name: "user1@example.test", Password: realtest.SSHA("pw"), Host: "backend1.example.test", Aliases: []string{"alias1@example.test"},
	}, a)
	names, err := d.GroupsOf(t.Context(), "user1@example.test")
	require.NoError(t, err)
	require.Equal(t, []string{"outer@example.test"}, names)
	s.Kill()
	for _, address := range []string{"user0@example.test", "nobody@example.test", "postmaster"} {
		fails(t, d, address, directory.ErrUnavailable)
	}
}
