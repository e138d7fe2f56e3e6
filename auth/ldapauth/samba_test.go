package ldapauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
)

// domainController is a Samba for the tests of one function: setting it up
// takes long.
type domainController struct{ *realtest.SambaAD }

func (s domainController) connect(t *testing.T, c ldap.Config) *ldap.Connector {
	t.Helper()
	c.Type, c.URIs, c.Base, c.TLS = ldap.ActiveDirectory, []string{s.SecureURI()}, realtest.SambaBase, testcert.Client()
	if c.BindDN == "" {
		c.BindDN, c.BindPassword = realtest.SambaReader, realtest.SambaPassword
	}
	connector, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connector.Close()) })
	return connector
}

func TestP9R344ActiveDirectoryIsADirectoryAsAnyOther(t *testing.T) {
	realtest.RequireSamba(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	samba, err := realtest.StartSambaAD(ctx, realtest.SambaOptions{})
	require.NoError(t, err)
	t.Cleanup(samba.Stop)
	s := domainController{samba}
	t.Run("Promises", s.promises)
	t.Run("AnonymousSearchesAreRefused", s.anonymous)
	t.Run("LoginsAreOfThreeKinds", s.logins)
	t.Run("TheRequiredGroupMayHoldGroups", s.group)
	t.Run("AnyAttributeMayBeTheHost", s.host)
	t.Run("AddressesAreProxyAddresses", s.addresses)
}

func (s domainController) promises(t *testing.T) {
	broken := s.connect(t, ldap.Config{BindDN: realtest.SambaReader, BindPassword: "wrong"})
	authtest.Run(t, authtest.Fixture{
		Auth: ldapauth.New(s.connect(t, ldap.Config{}), ldapauth.Options{}), User: "user0@example.test", Password: realtest.SambaPassword, Identity: "user0@example.test",
		Other: "user1@example.test", Unknown: "mallory@example.test", Disabled: "disabled@example.test", DisabledPassword: realtest.SambaPassword,
		Broken: ldapauth.New(broken, ldapauth.Options{}),
	})
}

func (s domainController) anonymous(t *testing.T) {
	c, err := ldap.New(ldap.Config{Type: ldap.ActiveDirectory, URIs: []string{s.URI()}, Base: realtest.SambaBase})
	require.NoError(t, err)
	defer c.Close()
	for _, user := range []string{"user0", "mallory"} {
		_, err = ldapauth.New(c, ldapauth.Options{}).Authenticate(t.Context(), credentials(user, realtest.SambaPassword))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		_, err = ldapmap.New(c, ldapmap.Options{}).Map(t.Context(), user)
		require.ErrorIs(t, err, mapping.ErrUnavailable)
	}
}

func (s domainController) logins(t *testing.T) {
	a := ldapauth.New(s.connect(t, ldap.Config{}), ldapauth.Options{})
	for login, want := range map[string]string{
		"user0": "user0@example.test", "USER0@example.test": "user0@example.test", "user0@ad.example.test": "user0@example.test",
		"nomail": "nomail@ad.example.test", "nomail+tag@ad.example.test": "nomail@ad.example.test",
	} {
		id, err := a.Authenticate(t.Context(), credentials(login, realtest.SambaPassword))
		require.NoError(t, err, login)
		require.Equal(t, want, id.User, login)
		_, err = a.Authenticate(t.Context(), credentials(login, "wrong"))
		require.ErrorIs(t, err, auth.ErrBadCredentials, login)
	}
	_, err := a.Authenticate(t.Context(), credentials("disabled", realtest.SambaPassword))
	require.ErrorIs(t, err, auth.ErrDisabled)
	compare := ldapauth.New(s.connect(t, ldap.Config{}), ldapauth.Options{Mode: ldapauth.Compare})
	_, err = compare.Authenticate(t.Context(), credentials("user0", realtest.SambaPassword))
	require.ErrorIs(t, err, auth.ErrBadCredentials, "there is no password to be read")
}

func (s domainController) group(t *testing.T) {
	a := ldapauth.New(s.connect(t, ldap.Config{Groups: ldap.Groups{Required: realtest.SambaGroup("outer")}}), ldapauth.Options{})
	for _, user := range []string{"user0", "user1", "user2"} {
		_, err := a.Authenticate(t.Context(), credentials(user, realtest.SambaPassword))
		require.NoError(t, err, user)
	}
	_, err := a.Authenticate(t.Context(), credentials("user3", realtest.SambaPassword))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func (s domainController) host(t *testing.T) {
	_, err := ldapmap.New(s.connect(t, ldap.Config{}), ldapmap.Options{}).Map(t.Context(), "user0")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, ldapmap.ErrNoHost, "Active Directory has no attribute of its own for that")
	require.NoError(t, s.Set(realtest.SambaUser(0), "physicalDeliveryOfficeName", "backend0.example.test:143"))
	m := ldapmap.New(s.connect(t, ldap.Config{Attributes: ldap.Attributes{Host: "physicalDeliveryOfficeName"}}), ldapmap.Options{})
	for _, user := range []string{"user0", "user0@example.test", "user0@ad.example.test"} {
		r, err := m.Map(t.Context(), user)
		require.NoError(t, err, user)
		require.Equal(t, mapping.Route{Host: "backend0.example.test", Port: 143}, r)
	}
	_, err = m.Map(t.Context(), "user1")
	require.ErrorIs(t, err, ldapmap.ErrMissingHost)
	_, err = m.Map(t.Context(), "mallory")
	require.ErrorIs(t, err, mapping.ErrNotMapped)
}

func (s domainController) addresses(t *testing.T) {
	require.NoError(t, s.Set(realtest.SambaGroup("outer"), "mail", "outer@example.test"))
	d, err := ldapdir.New(s.connect(t, ldap.Config{}), ldapdir.Options{Domains: []string{"example.test", "ad.example.test"}})
	require.NoError(t, err)
	for address, want := range map[string][]directory.Recipient{
		"alias1+tag@example.test": {{Account: "user1@example.test"}}, "user1@ad.example.test": {{Account: "user1@example.test"}},
		"nomail@ad.example.test": {{Account: "nomail@ad.example.test"}},
		"outer@example.test":     {{Account: "user0@example.test"}, {Account: "user1@example.test"}, {Account: "user2@example.test"}},
	} {
		got, err := d.Resolve(t.Context(), mail.MustParseAddress(address))
		require.NoError(t, err, address)
		require.ElementsMatch(t, want, got, address)
	}
	for address, want := range map[string]error{"disabled@example.test": directory.ErrDisabled, "nobody@example.test": directory.ErrUnknown} {
		_, err := d.Resolve(t.Context(), mail.MustParseAddress(address))
		require.ErrorIs(t, err, want, address)
	}
	a, err := d.Account(t.Context(), "user1")
	require.NoError(t, err)
	require.Equal(t, directory.Account{Name: "user1@example.test", Aliases: []string{"alias1@example.test"}}, a)
}
