package ldapauth_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// policy lets accounts be locked by an administrator.
var policy = realtest.SlapdOptions{Global: "moduleload ppolicy", Database: "overlay ppolicy"}

func startSlapd(t *testing.T, o realtest.SlapdOptions) *realtest.Slapd {
	t.Helper()
	realtest.Require(t, "slapd")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := realtest.StartSlapd(ctx, o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// connect returns a connector to a server, bound as somebody or anonymous.
func connect(t *testing.T, s *realtest.Slapd, c ldap.Config) *ldap.Connector {
	t.Helper()
	c.Type, c.URIs, c.Base, c.Domain = ldap.OpenLDAP, []string{s.URI()}, realtest.SlapdBase, "example.test"
	connector, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connector.Close()) })
	return connector
}

func reader() ldap.Config {
	return ldap.Config{BindDN: realtest.SlapdReader, BindPassword: realtest.SlapdReaderPassword}
}

func TestR34113ARealServerKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	s := startSlapd(t, policy)
	require.NoError(t, s.Set(realtest.SlapdUser(2), "pwdAccountLockedTime", "000001010000Z"))
	down := startSlapd(t, realtest.SlapdOptions{})
	down.Kill()
	for name, c := range map[string]struct {
		config ldap.Config
		o      ldapauth.Options
	}{
		"bind, anonymous search": {ldap.Config{}, ldapauth.Options{}},
		"bind, bound search":     {reader(), ldapauth.Options{}},
		"compare":                {reader(), ldapauth.Options{Mode: ldapauth.Compare}},
	} {
		t.Run(name, func(t *testing.T) {
			authtest.Run(t, authtest.Fixture{
				Auth: ldapauth.New(connect(t, s, c.config), c.o), User: "user0@example.test", Password: "pw", Identity: "user0@example.test",
				Other: "user1@example.test", Unknown: "mallory@example.test", Disabled: "user2@example.test", DisabledPassword: "pw",
				Broken: ldapauth.New(connect(t, down, c.config), c.o),
			})
		})
	}
}

func TestR34113HashedPasswordsAreComparedOnlyByWhoMayReadThem(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	for name, want := range map[string]error{"nopassword": auth.ErrBadCredentials, "plain": auth.ErrUnavailable, "user0": nil} {
		_, err := ldapauth.New(connect(t, s, reader()), ldapauth.Options{Mode: ldapauth.Compare}).Authenticate(t.Context(), credentials(name, "pw"))
		require.ErrorIs(t, err, want, name)
		_, err = ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{Mode: ldapauth.Compare}).Authenticate(t.Context(), credentials(name, "pw"))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "the attribute can't be read")
	}
	bind := ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{})
	for name, want := range map[string]error{"nopassword": auth.ErrBadCredentials, "plain": nil, "user0": nil} {
		_, err := bind.Authenticate(t.Context(), credentials(name, "pw"))
		require.ErrorIs(t, err, want, name)
	}
	_, err := bind.Authenticate(t.Context(), credentials("twin", "pw"))
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestR343EveryServiceAuthenticatesByTheConnector(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	clearText := reader()
	clearText.Filter = "(&(uid=plain)(mail=%e))"
	for name, c := range map[string]struct {
		a    auth.Authenticator
		user string
		want []string
	}{
		"bind":       {ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{}), "user0", []string{"PLAIN", "LOGIN"}},
		"compare":    {ldapauth.New(connect(t, s, reader()), ldapauth.Options{Mode: ldapauth.Compare}), "user0", []string{"PLAIN", "LOGIN"}},
		"clear text": {ldapauth.New(connect(t, s, clearText), ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.ClearSecrets}), "plain", []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5", "DIGEST-MD5"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, service := range []string{"smtp", "submission", "imap", "pop3", "imap-proxy", "pop3-proxy"} {
				creds := auth.Credentials{Service: service, Secure: true, User: c.user, Password: "pw"}
				id, err := c.a.Authenticate(t.Context(), creds)
				require.NoError(t, err, service)
				require.Equal(t, c.user+"@example.test", id.User)
				all := auth.Policy{Secure: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5", "DIGEST-MD5"}}
				require.ElementsMatch(t, c.want, auth.Mechanisms(c.a, all, creds))
			}
		})
	}
}

func TestA05ALoginThatIsRememberedOutlivesTheServer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	below := ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{})
	a := auth.NewThrottle(auth.NewCache(below, auth.CacheOptions{}), auth.ThrottleOptions{})
	_, err := a.Authenticate(t.Context(), credentials("User0+tag", "pw"))
	require.NoError(t, err)
	s.Kill()
	id, err := a.Authenticate(t.Context(), credentials("User0+tag", "pw"))
	require.NoError(t, err)
	require.Equal(t, "user0@example.test", id.User)
	for _, cold := range []auth.Credentials{credentials("user0", "wrong"), credentials("user1", "pw"), credentials("mallory", "pw")} {
		_, err = a.Authenticate(t.Context(), cold)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.NotErrorIs(t, err, auth.ErrBadCredentials)
	}
}

func TestR3413TheFirstLoginOfARealServersUserMakesHisAccount(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	a := auth.NewCache(accountauth.Provision(ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{}), d, nil), auth.CacheOptions{})
	_, err = a.Authenticate(t.Context(), credentials("user0", "wrong"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = a.Authenticate(t.Context(), credentials("user1", "pw"))
	require.NoError(t, err)
	var names []string
	for account, err := range d.List(t.Context()) {
		require.NoError(t, err)
		names = append(names, account.Name)
	}
	require.Equal(t, []string{"user1@example.test"}, names)
}

func TestR3413EntriesThatNeedAuthenticationSitInAGroupOfUsersAndGroups(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	a := ldapauth.New(connect(t, s, ldap.Config{Groups: ldap.Groups{Required: realtest.SlapdGroup("outer")}}), ldapauth.Options{})
	for _, user := range []string{"user0", "user1", "user2"} {
		_, err := a.Authenticate(t.Context(), credentials(user, "pw"))
		require.NoError(t, err, user)
	}
	_, err := a.Authenticate(t.Context(), credentials("user3", "pw"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestA14MissingAndWrongTakeTheSameTimeInABindToARealServer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	a := ldapauth.New(connect(t, s, ldap.Config{}), ldapauth.Options{})
	median := func(user string) time.Duration {
		var took []time.Duration
		for range 51 {
			began := time.Now()
			_, err := a.Authenticate(t.Context(), credentials(user, "wrong"))
			took = append(took, time.Since(began))
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	_ = median("user0")
	wrong, missing, none := median("user0"), median("mallory"), median("nopassword")
	t.Logf("missing takes %.2f of wrong, without a password %.2f", float64(missing)/float64(wrong), float64(none)/float64(wrong))
	require.Less(t, max(wrong, missing, none), 4*min(wrong, missing, none))
}
