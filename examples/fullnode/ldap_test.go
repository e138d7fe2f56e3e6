package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// slapd starts an OpenLDAP server with user0@example.test and his kin.
func slapd(t *testing.T, o realtest.SlapdOptions) *realtest.Slapd {
	t.Helper()
	realtest.Require(t, "slapd")
	s, err := realtest.StartSlapd(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// withLDAP is a configuration of a node that knows a directory: first keys,
// then tables.
func withLDAP(uri, keys, more string) string {
	return "auth.sources = [\"accounts\", \"ldap:main\"]\n" + keys + fmt.Sprintf(`
[ldap.main]
type = "openldap"
uris = [%q]
base = "dc=example,dc=test"
%s
`, uri, more)
}

// TestR3413TheFirstLDAPLoginCreatesTheAccount logs users of a directory in by
// IMAP and POP3: where the domain allows it they have an account afterwards,
// which gets mail.
func TestR3413TheFirstLDAPLoginCreatesTheAccount(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	n := startNode(t, withLDAP(s.URI(), "", "[domains.\"example.test\"]\ncreate_at_login = true\n"))
	require.NotContains(t, n.mustRun("", "user", "list"), "user0")
	require.Contains(t, n.imapSays("user0@example.test", "wrong"), "NO [AUTHENTICATIONFAILED]")
	require.NotContains(t, n.mustRun("", "user", "list"), "user0", "a login that fails makes nothing")
	require.Contains(t, n.imapSays("User0@example.test", "pw", "SELECT INBOX"), "OK [READ-WRITE]")
	require.Contains(t, n.mustRun("", "user", "list"), "user0@example.test\n")
	require.Contains(t, n.imapSays("alice", n.password, "SELECT INBOX"), "OK [READ-WRITE]", "the node's own accounts go on")

	c := n.dial("SMTP")
	c.mailFrom("EHLO", "someone@example.org", "user0@example.test")
	require.Regexp(t, "^250 ", c.data([]byte("Subject: hello\r\n\r\nhello\r\n")))
	c.Close()
	require.Len(t, bodies(t, n.imapAs("user0@example.test", "pw"), "INBOX"), 1)

	s.Kill()
	said := n.imapSays("user1@example.test", "pw")
	require.Contains(t, said, "NO [UNAVAILABLE]", "an outage is no wrong password")
	require.Contains(t, n.imapSays("alice", n.password, "SELECT INBOX"), "OK [READ-WRITE]")
}

// TestR3413ADomainMayKeepLDAPLoginsFromMakingAccounts proves the other
// setting, which is the default.
func TestR3413ADomainMayKeepLDAPLoginsFromMakingAccounts(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	n := startNode(t, withLDAP(s.URI(), "", ""))
	require.Contains(t, n.imapSays("user0@example.test", "pw"), "NO [AUTHENTICATIONFAILED]")
	require.NotContains(t, n.mustRun("", "user", "list"), "user0")
}

// TestR3413EachServiceMayCheckLoginsElsewhere lets IMAP ask the directory
// alone, and POP3 the accounts alone.
func TestR3413EachServiceMayCheckLoginsElsewhere(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	n := startNode(t, withLDAP(s.URI(), "imap.auth = [\"ldap:main\"]\npop3.auth = [\"accounts\"]\n", "domains = [\"example.test\"]\n"))
	require.Contains(t, n.imapSays("user0@example.test", "pw", "SELECT INBOX"), "OK [READ-WRITE]")
	require.Contains(t, n.imapSays("alice", n.password), "NO [AUTHENTICATIONFAILED]")
	c := n.dial("POP3")
	require.Regexp(t, `^\+OK`, c.line())
	c.send("USER user0@example.test\r\nPASS pw\r\n")
	require.Regexp(t, `^\+OK`, c.line())
	require.Regexp(t, `^-ERR \[AUTH\]`, c.line())
}

// TestR3411ADirectoryOfLDAPAloneGetsMail has no account of the node's own for
// whom mail comes.
func TestR3411ADirectoryOfLDAPAloneGetsMail(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	n := startNode(t, withLDAP(s.URI(), "", "domains = [\"example.test\"]\n"))
	c := n.dial("SMTP")
	c.mailFrom("EHLO", "someone@example.org", "user1+tag@example.test")
	require.Regexp(t, "^250 ", c.data([]byte("Subject: hello\r\n\r\nhello\r\n")))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<someone@example.org>"))
	require.Regexp(t, "^550 5.1.1", c.command("RCPT TO:<nobody@example.test>"))
	s.Kill()
	require.Regexp(t, "^451 ", c.command("RCPT TO:<user2@example.test>"), "an outage is no unknown user")
	require.NoError(t, s.Restart(t.Context()))
	require.Eventually(t, func() bool { // as soon as a probe has found it back
		return strings.Contains(n.imapSays("user1@example.test", "pw", "SELECT INBOX"), "OK [READ-WRITE]")
	}, time.Minute, 100*time.Millisecond)
	require.Len(t, bodies(t, n.imapAs("user1@example.test", "pw"), "INBOX"), 1)
}

// TestLDAPTestSaysWhatIsMissing asks about users with something wrong, and
// about one with nothing.
func TestLDAPTestSaysWhatIsMissing(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{Users: 5})
	user := func(i int) string { return realtest.SlapdUser(i) }
	require.NoError(t, s.Set(user(1), "mailHost"))
	require.NoError(t, s.Set(user(2), "mail", "user3@example.test"))
	require.NoError(t, s.Set(user(4), "mailHost", "host:99999"))
	for _, c := range []struct {
		args     []string
		config   string
		password string
		says     []string
		fails    bool
	}{
		{args: []string{"-user", "user0@example.test", "-password"}, password: "pw", says: []string{
			"(mail=user0@example.test)", user(0), "password", "works", "routes to", "Nothing is missing."}},
		{args: []string{"-user", "user0@example.test", "-password"}, password: "wrong", fails: true, says: []string{"The password does not work"}},
		{args: []string{"-user", "nobody@example.test"}, fails: true, says: []string{"matches no entry", "no bind_dn is set"}},
		{args: []string{"-user", "user1@example.test"}, fails: true, says: []string{"has no mailHost"}},
		{args: []string{"-user", "user3@example.test"}, fails: true, says: []string{user(2), user(3), "matches several entries"}},
		{args: []string{"-user", "user4@example.test"}, fails: true, says: []string{"leads nowhere"}},
		{args: []string{"-user", "user0@example.test"}, config: "groups.required = \"cn=none,dc=example,dc=test\"\n", fails: true, says: []string{"not in the required group"}},
		{args: []string{"-user", "user0@example.test"}, config: "check = \"compare\"\n", fails: true, says: []string{"no userPassword to compare"}},
		{args: []string{"-user", "user0@example.test", "-connector", "other"}, fails: true, says: []string{"is one of main"}},
	} {
		file := filepath.Join(t.TempDir(), "config.toml")
		require.NoError(t, os.WriteFile(file, []byte(withLDAP(s.URI(), "", c.config)), 0o600))
		out, err := runBinary(t, c.password+"\n", append([]string{"-config", file, "ldap", "test"}, c.args...)...)
		require.Equal(t, c.fails, err != nil, "%v\n%s", c.args, out)
		for _, text := range c.says {
			require.Contains(t, out, text, "%v", c.args)
		}
		require.NotContains(t, out, "wrong\n")
	}
}

// TestLDAPTestSaysThatAnonymousSearchIsRefused asks a server that wants a
// login, and one that is not there.
func TestLDAPTestSaysThatAnonymousSearchIsRefused(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{Global: "disallow bind_anon\nrequire authc"})
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(withLDAP(s.URI(), "", "")), 0o600))
	out, err := runBinary(t, "", "-config", file, "ldap", "test", "-user", "user0@example.test")
	require.Error(t, err)
	require.Contains(t, out, "The directory did not answer the search")
	s.Kill()
	out, err = runBinary(t, "", "-config", file, "ldap", "test", "-user", "user0@example.test")
	require.Error(t, err)
	require.Contains(t, out, "is down")
}

// TestTheDirectoryOfTheClusterExampleServesItsUsers starts OpenLDAP with the
// files that examples/cluster brings, as its README says.
func TestTheDirectoryOfTheClusterExampleServesItsUsers(t *testing.T) {
	realtest.Require(t, "slapd")
	realtest.Require(t, "ldapadd")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../cluster/directory")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	port, err := realtest.FreePort()
	require.NoError(t, err)
	uri := "ldap://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	server := exec.Command("slapd", "-f", "slapd.conf", "-h", uri, "-d", "none")
	server.Dir = dir
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.NoError(t, realtest.WaitPort(t.Context(), port))
	clients.Run(t, dir, "ldapadd", "-x", "-H", uri, "-D", "cn=admin,dc=example,dc=test", "-w", "adminpw", "-f", "base.ldif")

	file := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(withLDAP(uri, "", `bind_dn = "cn=mail,ou=services,dc=example,dc=test"
bind_password = "mailpw"
groups.required = "cn=mail users,ou=groups,dc=example,dc=test"
`)), 0o600))
	for user, facts := range map[string][]string{
		"alice@example.test": {"secret-a", "backend1.example.test", "cn=mail users,ou=groups,dc=example,dc=test"},
		"bob@example.test":   {"secret-b", "backend2.example.test", "cn=sales,ou=groups,dc=example,dc=test in cn=mail users"},
	} {
		out, err := runBinary(t, facts[0]+"\n", "-config", file, "ldap", "test", "-user", user, "-password")
		require.NoError(t, err, out)
		for _, text := range append(facts[1:], "works", "Nothing is missing.") {
			require.Contains(t, out, text)
		}
	}
}

// TestConfigShowsNoSecrets prints a configuration that has some.
func TestConfigShowsNoSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(withLDAP("ldap://127.0.0.1", "", "bind_dn = \"cn=x\"\nbind_password = \"topsecret\"\n[oauth.x]\nissuer = \"https://issuer.test\"\nclient_secret = \"topsecret\"\n")), 0o600))
	out, err := runBinary(t, "", "-config", file, "config")
	require.NoError(t, err, out)
	require.NotContains(t, out, "topsecret")
	require.Contains(t, out, `bind_password = "(hidden)"`)
	require.Contains(t, out, `base = "dc=example,dc=test"`)
}
