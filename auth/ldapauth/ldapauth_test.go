package ldapauth_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
)

const (
	people = ",ou=people,dc=example,dc=test"
	staff  = "cn=staff,ou=groups,dc=example,dc=test"
)

func config() ldap.Config { return ldap.Config{Domain: "example.test"} }

// fill adds alice and bob, and carol, whose account is closed. Passwords are
// kept by form.
func fill(t testing.TB, d *ldapfake.Directory, form func(testing.TB, string) string) {
	for _, name := range []string{"alice", "bob", "carol"} {
		d.Add("uid="+name+people, "uid", name, "mail", name+"@example.test", "userPassword", form(t, name+"'s secret"))
	}
	d.Set("uid=carol"+people, "nsAccountLock", "TRUE")
}

func plain(_ testing.TB, password string) string { return password }

func hash(t testing.TB, password string) string {
	t.Helper()
	h, err := auth.HashPassword(password)
	require.NoError(t, err)
	return h
}

func credentials(user, password string) auth.Credentials {
	return auth.Credentials{Service: "imap", Secure: true, User: user, Password: password}
}

func TestR34113ABindKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	suite(t, ldapauth.Options{}, plain)
}

func TestR34113AComparisonKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	suite(t, ldapauth.Options{Mode: ldapauth.Compare}, hash)
}

func TestR34113AComparisonWithClearTextKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	suite(t, ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.ClearSecrets}, plain)
}

func TestR343AComparisonWithSCRAMKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	d, down := ldapfake.New(t, config()), ldapfake.New(t, config())
	fill(t, d, hash)
	for _, name := range []string{"alice", "bob", "carol"} {
		s, err := auth.NewSCRAMSecret("SCRAM-SHA-256", name+"'s secret")
		require.NoError(t, err)
		d.Set("uid="+name+people, "authPassword", "SCRAM-SHA-256$"+string(s.Value))
	}
	down.Fail(errors.New("connection refused"))
	o := ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.SCRAMSHA256Secrets}
	authtest.Run(t, fixture(ldapauth.New(d, o), ldapauth.New(down, o)))
}

func suite(t *testing.T, o ldapauth.Options, form func(testing.TB, string) string) {
	d, down := ldapfake.New(t, config()), ldapfake.New(t, config())
	fill(t, d, form)
	down.Fail(errors.New("connection refused"))
	authtest.Run(t, fixture(ldapauth.New(d, o), ldapauth.New(down, o)))
	for _, password := range d.Binds() {
		require.NotEmpty(t, password)
	}
}

func fixture(a, broken auth.Authenticator) authtest.Fixture {
	return authtest.Fixture{
		Auth: a, User: "alice@example.test", Password: "alice's secret", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test",
		Disabled: "carol@example.test", DisabledPassword: "carol's secret",
		Broken: broken,
	}
}

func TestA06SpellingsOfALoginAreOneAccount(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	a := ldapauth.New(d, ldapauth.Options{})
	for _, login := range []string{"alice", "ALICE", "Alice@Example.Test.", "alice+tag@example.test", "alice+tag", `"alice"@example.test`} {
		id, err := a.Authenticate(t.Context(), credentials(login, "alice's secret"))
		require.NoError(t, err, login)
		require.Equal(t, "alice@example.test", id.User)
		name, err := a.AccountName(t.Context(), login)
		require.NoError(t, err)
		require.Equal(t, "alice@example.test", name)
		c := credentials(login, "alice's secret")
		c.AuthzID = "alice@example.test"
		_, err = a.Authenticate(t.Context(), c)
		require.NoError(t, err, "he himself")
	}
}

func TestA02AnEmptyPasswordNeverReachesABind(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	a := ldapauth.New(d, ldapauth.Options{})
	for _, user := range []string{"alice", "mallory", ""} {
		for _, password := range []string{"", "\x00", "\x00x", "alice's secret\x00", strings.Repeat("x", 64<<10)} {
			_, err := a.Authenticate(t.Context(), credentials(user, password))
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
	}
	require.Empty(t, d.Binds())
	require.Zero(t, d.Searches())
}

func TestA04SeveralEntriesAndAnOutageAreNeverAWrongPassword(t *testing.T) {
	for _, o := range []ldapauth.Options{{}, {Mode: ldapauth.Compare}} {
		d := ldapfake.New(t, config())
		fill(t, d, plain)
		d.Add("uid=twin"+people, "mail", "alice@example.test", "userPassword", "x")
		_, err := ldapauth.New(d, o).Authenticate(t.Context(), credentials("alice@example.test", "alice's secret"))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, ldap.ErrSeveral)
		for _, cause := range []error{errors.New("referral"), errors.New("size limit"), errors.New("connection reset"), ldap.ErrSeveral} {
			d.Fail(cause)
			_, err = ldapauth.New(d, o).Authenticate(t.Context(), credentials("bob@example.test", "bob's secret"))
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.ErrorIs(t, err, cause)
			require.NotErrorIs(t, err, auth.ErrBadCredentials)
		}
	}
}

func TestADirectoryThatFailsBetweenSearchAndBindIsUnavailable(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	for cause, want := range map[error]error{ldap.ErrUnavailable: auth.ErrUnavailable, ldap.ErrDisabled: auth.ErrDisabled, errors.New("other"): auth.ErrUnavailable} {
		_, err := ldapauth.New(bindFails{d, cause}, ldapauth.Options{}).Authenticate(t.Context(), credentials("alice", "alice's secret"))
		require.ErrorIs(t, err, want)
		require.NotErrorIs(t, err, auth.ErrBadCredentials)
		require.NotContains(t, err.Error(), "secret")
		_, err = ldapauth.New(bindFails{d, cause}, ldapauth.Options{}).Authenticate(t.Context(), credentials("mallory", "alice's secret"))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "that there is no entry was known before")
	}
}

func TestR34113AMissingPasswordAttributeAlwaysFailsAndIsLogged(t *testing.T) {
	var out bytes.Buffer
	d := ldapfake.New(t, config())
	fill(t, d, hash)
	d.Set("uid=alice"+people, "userPassword")
	o := ldapauth.Options{Mode: ldapauth.Compare, Logger: slog.New(slog.NewTextHandler(&out, nil)), Secrets: auth.ClearSecrets}
	a := ldapauth.New(d, o)
	for _, password := range []string{"alice's secret", "no password fits here", "x", "*"} {
		_, err := a.Authenticate(t.Context(), credentials("alice", password))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.ErrorContains(t, err, "has no userPassword")
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "uid=alice")
	c := config()
	c.Attributes.Password = "-"
	d = ldapfake.New(t, c)
	fill(t, d, hash)
	_, err := ldapauth.New(d, o).Authenticate(t.Context(), credentials("alice", "alice's secret"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestEachOfSeveralPasswordsIsGood(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, hash)
	a := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare})
	dn := "uid=alice" + people
	d.Set(dn, "userPassword", "{SASL}alice@EXAMPLE.TEST", hash(t, "one"), hash(t, "two"))
	for _, password := range []string{"one", "two"} {
		_, err := a.Authenticate(t.Context(), credentials("alice", password))
		require.NoError(t, err)
	}
	_, err := a.Authenticate(t.Context(), credentials("alice", "three"))
	require.ErrorIs(t, err, auth.ErrUnavailable, "it may fit the one that can't be compared")
	d.Set(dn, "userPassword", slices.Repeat([]string{"$5$x$y"}, 9)...)
	_, err = a.Authenticate(t.Context(), credentials("alice", "one"))
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestClearTextIsNoPasswordUnlessItIsSaidToBe(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	_, err := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare}).Authenticate(t.Context(), credentials("alice", "alice's secret"))
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	a := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.ClearSecrets})
	for _, value := range []string{"s3cret", "{CLEARTEXT}s3cret", "{clear}s3cret", "{PLAIN}s3cret"} {
		d.Set("uid=alice"+people, "userPassword", value)
		_, err := a.Authenticate(t.Context(), credentials("alice", "s3cret"))
		require.NoError(t, err)
		_, err = a.Authenticate(t.Context(), credentials("alice", "s3cretx"))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	for _, value := range []string{"{SSHA}s3cret", "$1$s3cret", "{CLEAR}"} { // hashes are never themselves passwords
		d.Set("uid=alice"+people, "userPassword", value)
		_, err := a.Authenticate(t.Context(), credentials("alice", value))
		require.Error(t, err, value)
	}
}

func TestR3413WhoIsNotInTheRequiredGroupDoesNotLogIn(t *testing.T) {
	for _, mode := range []ldapauth.Mode{ldapauth.Bind, ldapauth.Compare} {
		c := config()
		c.Groups.Required = staff
		d := ldapfake.New(t, c)
		fill(t, d, plain)
		d.Add("cn=inner,ou=groups,dc=example,dc=test", "objectClass", "groupOfNames", "member", "uid=alice"+people, "member", staff)
		d.Add(staff, "objectClass", "groupOfNames", "member", "cn=inner,ou=groups,dc=example,dc=test")
		a := ldapauth.New(d, ldapauth.Options{Mode: mode, Secrets: auth.ClearSecrets})
		_, err := a.Authenticate(t.Context(), credentials("alice", "alice's secret"))
		require.NoError(t, err, "through a group in the group")
		_, err = a.Authenticate(t.Context(), credentials("bob", "bob's secret"))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.ErrorContains(t, err, staff)
		_, err = ldapauth.New(memberFails{d}, ldapauth.Options{Mode: mode, Secrets: auth.ClearSecrets}).Authenticate(t.Context(), credentials("alice", "alice's secret"))
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
}

func TestIdentitiesAreTheMainAddress(t *testing.T) {
	for _, c := range []struct {
		config ldap.Config
		entry  []string
		login  string
		want   string
	}{
		{config(), []string{"mail", "A.Lice@Example.Test", "mail", "other@example.test", "uid", "al"}, "al", "a.lice@example.test"},
		{config(), []string{"mail", "alice+own@example.test", "uid", "al"}, "al", "alice+own@example.test"},
		{config(), []string{"mail", "no address", "uid", "Al"}, "al", "al@example.test"},
		{config(), []string{"uid", "Al"}, "al+tag@elsewhere.test", "al@example.test"},
		{ldap.Config{}, []string{"uid", "Al"}, "al@elsewhere.test", "al"},
		{ldap.Config{Attributes: ldap.Attributes{Login: "-"}}, []string{"uid", "Al"}, "AL@elsewhere.test", "al@elsewhere.test"},
		{ldap.Config{Attributes: ldap.Attributes{Login: "-"}, Domain: "example.test"}, []string{"uid", "Al"}, "AL", "al@example.test"},
		{ldap.Config{Type: ldap.ActiveDirectory}, []string{"sAMAccountName", "al", "uid", "al", "userPrincipalName", "Al@ad.example.test"}, "al", "al@ad.example.test"},
		{ldap.Config{Type: ldap.ActiveDirectory}, []string{"sAMAccountName", "al", "uid", "al", "userPrincipalName", "al@ad.example.test", "mail", "alice@example.test"}, "al", "alice@example.test"},
	} {
		c.config.Filter = "(uid=%u)"
		d := ldapfake.New(t, c.config)
		d.Add("cn=one"+people, append(c.entry, "userPassword", "secret")...)
		id, err := ldapauth.New(d, ldapauth.Options{}).Authenticate(t.Context(), credentials(c.login, "secret"))
		require.NoError(t, err, c.login)
		require.Equal(t, c.want, id.User, "%v", c.entry)
	}
}

func TestR344ActiveDirectorySaysWhoIsDisabled(t *testing.T) {
	c := ldap.Config{Type: ldap.ActiveDirectory, Filter: "(sAMAccountName=%u)"}
	for value, disabled := range map[string]bool{
		"userAccountControl=512": false, "userAccountControl=514": true, "userAccountControl=66050": true,
		"accountExpires=0": false, "accountExpires=9223372036854775807": false, "accountExpires=129000000000000000": true, "accountExpires=160000000000000000": false,
	} {
		d := ldapfake.New(t, c)
		attribute, text, _ := strings.Cut(value, "=")
		d.Add("cn=alice"+people, "sAMAccountName", "alice", "mail", "alice@example.test", "userPassword", "secret", attribute, text)
		_, err := ldapauth.New(d, ldapauth.Options{}).Authenticate(t.Context(), credentials("alice", "secret"))
		if disabled {
			require.ErrorIs(t, err, auth.ErrDisabled, value)
		} else {
			require.NoError(t, err, value)
		}
		_, err = ldapauth.New(d, ldapauth.Options{}).Authenticate(t.Context(), credentials("alice", "wrong"))
		require.ErrorIs(t, err, auth.ErrBadCredentials, value)
	}
}

func TestATicketIsSomebodyInItsRealmsDomain(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	a := ldapauth.New(d, ldapauth.Options{Realms: map[string]string{"EXAMPLE.TEST": "example.test"}})
	require.NotZero(t, a.Proofs()&auth.Tickets)
	require.Zero(t, ldapauth.New(d, ldapauth.Options{}).Proofs()&auth.Tickets)
	show := func(name, realm, authzID string) (auth.Identity, error) {
		return a.Authenticate(t.Context(), auth.Credentials{Proof: auth.Ticket{Name: name, Realm: realm}, AuthzID: authzID})
	}
	id, err := show("alice", "EXAMPLE.TEST", "alice")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", id.User)
	_, err = show("carol", "EXAMPLE.TEST", "")
	require.ErrorIs(t, err, auth.ErrDisabled)
	for _, bad := range [][3]string{
		{"alice", "OTHER.TEST", ""}, {"alice", "", ""}, {"alice", "example.test", ""}, {"imap/alice", "EXAMPLE.TEST", ""}, {"", "EXAMPLE.TEST", ""},
		{"alice@example.test", "EXAMPLE.TEST", ""}, {"mallory", "EXAMPLE.TEST", ""}, {"alice+x", "EXAMPLE.TEST", ""}, {"alice", "EXAMPLE.TEST", "bob"},
	} {
		id, err = show(bad[0], bad[1], bad[2])
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%q", bad)
		require.Zero(t, id)
	}
	for _, p := range []auth.Proof{auth.Token("x"), &auth.Certificate{}} {
		_, err = a.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "alice's secret", Proof: p})
		require.ErrorIs(t, err, auth.ErrBadCredentials, fmt.Sprintf("%T", p))
	}
	require.Empty(t, d.Binds())
}
