package ldapdir_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/directorytest"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
	"github.com/posthouse-mail/posthouse/mail"
)

func TestEntriesKeepThePromisesOfADirectory(t *testing.T) {
	directorytest.RunLookups(t, func(t *testing.T) directory.Directory {
		d := ldapfake.New(t, ldap.Config{})
		return newEdited(t, d, fakeTree{d})
	})
}

// bench is a directory in memory with alice and bob in example.test.
func bench(t *testing.T, c ldap.Config, o ldapdir.Options) (*ldapfake.Directory, *ldapdir.Directory) {
	t.Helper()
	l := ldapfake.New(t, c)
	for _, name := range []string{"alice", "bob"} {
		l.Add("uid="+name+","+people, "uid", name, "mail", name+"@example.test", "userPassword", "{SSHA}"+name)
	}
	if o.Domains == nil {
		o.Domains = []string{"example.test"}
	}
	d, err := ldapdir.New(l, o)
	require.NoError(t, err)
	return l, d
}

func leads(t *testing.T, d *ldapdir.Directory, address string, want ...directory.Recipient) {
	t.Helper()
	got, err := d.Resolve(t.Context(), mail.MustParseAddress(address))
	require.NoError(t, err, address)
	require.ElementsMatch(t, want, got, address)
}

func fails(t *testing.T, d *ldapdir.Directory, address string, want error) {
	t.Helper()
	got, err := d.Resolve(t.Context(), mail.MustParseAddress(address))
	require.ErrorIs(t, err, want, address)
	require.Empty(t, got)
}

func account(name string) directory.Recipient { return directory.Recipient{Account: name} }

func foreign(address string) directory.Recipient {
	return directory.Recipient{Forward: mail.MustParseAddress(address)}
}

func TestMailGoesWhereTheForwardAttributeSays(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{})
	alice := "uid=alice," + people
	for forward, want := range map[string]directory.Recipient{
		"elsewhere@example.org": foreign("elsewhere@example.org"), "bob@example.test": account("bob@example.test"),
		"alice@example.test": account("alice@example.test"), "ALICE+x@Example.Test": account("alice@example.test"),
	} {
		l.Set(alice, "mailRoutingAddress", forward)
		leads(t, d, "alice@example.test", want)
	}
	l.Set(alice, "mailRoutingAddress", "bob@example.test")
	l.Set("uid=bob,"+people, "mailRoutingAddress", "alice@example.test")
	fails(t, d, "alice@example.test", directory.ErrUnknown) // a loop ends
	l.Set(alice, "mailRoutingAddress", "nobody@example.test")
	fails(t, d, "alice@example.test", directory.ErrUnknown)
	l.Set(alice, "mailRoutingAddress", "no address")
	fails(t, d, "alice@example.test", directory.ErrUnavailable)
}

func TestACatchAllGetsWhatNobodyElseHas(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{Domains: []string{"example.test", "other.test"}, DomainAliases: map[string]string{"alias.test": "example.test"}})
	l.Set("uid=bob,"+people, "mailLocalAddress", "@example.test")
	leads(t, d, "nobody@example.test", account("bob@example.test"))
	leads(t, d, "nobody@alias.test", account("bob@example.test"))
	leads(t, d, "alice@example.test", account("alice@example.test"))
	leads(t, d, "alice+tag@example.test", account("alice@example.test"))
	leads(t, d, "postmaster@example.test", account("alice@example.test"))
	fails(t, d, "nobody@other.test", directory.ErrUnknown)
	l.Set("uid=alice,"+people, "nsAccountLock", "TRUE")
	fails(t, d, "alice@example.test", directory.ErrDisabled)
}

func TestAddressesOfADomainAliasLeadAsInItsDomain(t *testing.T) {
	_, d := bench(t, ldap.Config{}, ldapdir.Options{DomainAliases: map[string]string{"Bücher.test": "EXAMPLE.test"}})
	leads(t, d, "alice+x@bücher.test", account("alice@example.test"))
	a, err := d.Account(t.Context(), "alice@xn--bcher-kva.test")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", a.Name)
	local, err := d.Local(t.Context(), "bücher.test")
	require.NoError(t, err)
	require.True(t, local)
}

func TestMailToAGroupReachesEachMemberOnce(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{})
	l.Add("uid=friend,"+people, "mail", "friend@foreign.test")
	l.Add("uid=closed,"+people, "mail", "closed@example.test", "nsAccountLock", "TRUE")
	l.Add("uid=away,"+people, "mail", "away@example.test", "mailRoutingAddress", "alice@example.test")
	l.Add("cn=printer,"+people, "cn", "printer")
	for _, name := range []string{"alice", "bob", "friend", "closed", "away"} {
		l.Set("uid="+name+","+people, "memberOf", "cn=inner,"+groups)
	}
	member := func(names ...string) (pairs []string) {
		pairs = []string{"objectClass", "groupOfNames"}
		for _, n := range names {
			pairs = append(pairs, "member", n)
		}
		return pairs
	}
	l.Add("cn=inner,"+groups, member("uid=alice,"+people, "uid=friend,"+people, "uid=closed,"+people, "cn=outer,"+groups)...)
	l.Add("cn=outer,"+groups, append(member("cn=inner,"+groups, "uid=bob,"+people, "uid=alice,"+people, "uid=away,"+people, "cn=printer,"+people),
		"mail", "All@example.test", "mailLocalAddress", "everybody@example.test")...)
	for _, address := range []string{"all@example.test", "everybody@example.test", "all+tag@example.test"} {
		leads(t, d, address, account("alice@example.test"), account("bob@example.test"), foreign("friend@foreign.test"))
	}
	_, err := d.Account(t.Context(), "all@example.test")
	require.ErrorIs(t, err, directory.ErrUnknown, "nobody logs in as a group")
}

func TestActiveDirectoryKeepsAliasesInProxyAddresses(t *testing.T) {
	l := ldapfake.New(t, ldap.Config{Type: ldap.ActiveDirectory, Filter: "(|(userPrincipalName=%e)(sAMAccountName=%e))"})
	l.Add("cn=Alice,cn=Users,"+base, "sAMAccountName", "alice", "userPrincipalName", "alice@ad.example.test", "mail", "Alice@Example.test",
		"proxyAddresses", "SMTP:alice@example.test", "proxyAddresses", "smtp:sales@example.test", "proxyAddresses", "x500:/o=Example/cn=alice",
		"proxyAddresses", "sip:alice@example.test", "userAccountControl", "512")
	d, err := ldapdir.New(l, ldapdir.Options{Domains: []string{"example.test", "ad.example.test"}})
	require.NoError(t, err)
	for _, address := range []string{"alice@example.test", "sales@example.test", "alice@ad.example.test"} {
		leads(t, d, address, account("alice@example.test"))
	}
	fails(t, d, "sip@example.test", directory.ErrUnknown)
	for _, login := range []string{"alice", "ALICE@ad.example.test"} {
		a, err := d.Account(t.Context(), login)
		require.NoError(t, err)
		require.Equal(t, directory.Account{Name: "alice@example.test", Aliases: []string{"sales@example.test"}}, a)
	}
	l.Set("cn=Alice,cn=Users,"+base, "userAccountControl", "514")
	fails(t, d, "sales@example.test", directory.ErrDisabled)
}

func TestPasswordsInClearTextAreNotShown(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{})
	for value, want := range map[string]string{
		"secret": "", "{CLEARTEXT}secret": "", "{clear}x": "", "{Plain}x": "", "{SSHA}": "", "{SSHA}x": "{SSHA}x", "$6$a$b": "$6$a$b", "x{SSHA}y": "",
	} {
		l.Set("uid=alice,"+people, "userPassword", "secret", value)
		a, err := d.Account(t.Context(), "alice@example.test")
		require.NoError(t, err)
		require.Equal(t, want, a.Password, value)
	}
}

func TestA05AnOutageIsNeitherUnknownNorForeign(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{})
	for _, cause := range []error{errors.New("connection refused"), errors.New("size limit"), ldap.ErrSeveral} {
		l.Fail(cause)
		for _, address := range []string{"alice@example.test", "nobody@example.test", "postmaster"} {
			fails(t, d, address, directory.ErrUnavailable)
			fails(t, d, address, cause)
		}
		_, err := d.Account(t.Context(), "alice")
		require.ErrorIs(t, err, directory.ErrUnavailable)
		_, err = d.GroupsOf(t.Context(), "alice@example.test")
		require.ErrorIs(t, err, directory.ErrUnavailable)
	}
}

func TestA04TwoEntriesForOneAddressAreUnavailable(t *testing.T) {
	for several, want := range map[ldap.Several]error{ldap.SeveralIsError: directory.ErrUnavailable, ldap.SeveralIsFirst: nil} {
		l, d := bench(t, ldap.Config{Several: several}, ldapdir.Options{})
		l.Add("uid=twin,"+people, "mail", "alice@example.test")
		_, err := d.Resolve(t.Context(), mail.MustParseAddress("alice@example.test"))
		require.ErrorIs(t, err, want)
		_, err = d.Account(t.Context(), "alice@example.test")
		require.ErrorIs(t, err, want)
	}
}

func TestSearchedDomainsOutliveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := bench(t, ldap.Config{}, ldapdir.Options{DomainSearch: ldapdir.DomainSearch{Filter: "objectClass=domain", Attribute: "dc"}})
		l.Fail(errors.New("connection refused"))
		_, err := d.Local(t.Context(), "searched.test")
		require.ErrorIs(t, err, directory.ErrUnavailable, "nothing is known yet")
		l.Fail(nil)
		l.Add("ou=one,"+base, "objectClass", "domain", "dc", "searched.test", "dc", "not a domain")
		is := func(domain string) bool {
			local, err := d.Local(t.Context(), domain)
			require.NoError(t, err)
			return local
		}
		require.True(t, is("Searched.test"))
		require.True(t, is("example.test"))
		require.False(t, is("foreign.test"))
		searches := l.Searches()
		require.True(t, is("searched.test"))
		require.Equal(t, searches, l.Searches())
		l.Add("ou=two,"+base, "objectClass", "domain", "dc", "later.test")
		time.Sleep(time.Minute)
		require.True(t, is("later.test"))
		time.Sleep(time.Minute)
		l.Fail(errors.New("connection refused"))
		require.True(t, is("later.test"))
		require.False(t, is("foreign.test"))
	})
}

func TestPostmasterMayBeNamed(t *testing.T) {
	_, d := bench(t, ldap.Config{}, ldapdir.Options{Postmaster: "bob@example.test"})
	leads(t, d, "postmaster", account("bob@example.test"))
	_, d = bench(t, ldap.Config{}, ldapdir.Options{Postmaster: "hostmaster@example.org"})
	leads(t, d, "postmaster@example.test", foreign("hostmaster@example.org"))
	_, d = bench(t, ldap.Config{MaxEntries: 1}, ldapdir.Options{})
	fails(t, d, "postmaster", directory.ErrUnavailable)
}

func TestGroupsOfAnAccountAreNamedByTheirAddresses(t *testing.T) {
	l, d := bench(t, ldap.Config{}, ldapdir.Options{})
	l.Add("cn=inner,"+groups, "objectClass", "groupOfNames", "member", "uid=alice,"+people)
	l.Add("cn=outer,"+groups, "objectClass", "groupOfNames", "member", "cn=inner,"+groups, "mail", "Staff@example.test")
	names, err := d.GroupsOf(t.Context(), "alice@example.test")
	require.NoError(t, err)
	require.Equal(t, []string{"staff@example.test"}, names)
	names, err = d.GroupsOf(t.Context(), "bob@example.test")
	require.NoError(t, err)
	require.Empty(t, names)
	for _, nobody := range []string{"mallory@example.test", "staff@example.test", "alice+x@example.test", ""} {
		_, err = d.GroupsOf(t.Context(), nobody)
		require.ErrorIs(t, err, directory.ErrUnknown, nobody)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	l := ldapfake.New(t, ldap.Config{})
	for _, o := range []ldapdir.Options{
		{Domains: []string{"a b"}}, {DomainAliases: map[string]string{"": "example.test"}}, {DomainAliases: map[string]string{"example.test": "-"}}, {Postmaster: "x y"},
	} {
		_, err := ldapdir.New(l, o)
		require.ErrorIs(t, err, mail.ErrBadAddress, "%+v", o)
	}
	for _, o := range []ldapdir.Options{{Filter: "(mail=%x)"}, {DomainSearch: ldapdir.DomainSearch{Filter: "((x"}}} {
		_, err := ldapdir.New(l, o)
		require.ErrorIs(t, err, ldap.ErrConfig, "%+v", o)
	}
}
