package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// TestPasswordFilesAreSourcesOfLogins logs in somebody of a file, and lets the
// file change.
func TestPasswordFilesAreSourcesOfLogins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	write := func(password string) {
		hash, err := auth.HashPassword(password)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file+".new", []byte("bob:"+hash+"\n"), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write("one")
	n := startNode(t, "auth.sources = [\"accounts\", \"file:"+file+"\"]\n[domains.\"example.test\"]\ncreate_at_login = true\n")
	require.Contains(t, n.imapSays("bob", "one", "SELECT INBOX"), "OK [READ-WRITE]")
	require.Contains(t, n.imapSays("bob", "two"), "NO [AUTHENTICATIONFAILED]")
	write("two")
	require.Eventually(t, func() bool { return !strings.Contains(n.imapSays("bob", "two"), "AUTHENTICATIONFAILED") }, time.Minute, 100*time.Millisecond)
	require.Contains(t, n.mustRun("", "user", "list"), "bob@example.test")
}

// TestR343MechanismsAreOfferedSeparatelyWithTLSAndWithout configures both lists.
func TestR343MechanismsAreOfferedSeparatelyWithTLSAndWithout(t *testing.T) {
	n := startNode(t, "auth.mechanisms_with_tls = [\"PLAIN\"]\nauth.mechanisms_without_tls = [\"SCRAM-SHA-256\"]\n")
	said := n.imapSays("alice", n.password, "NOOP")
	require.Contains(t, said, "AUTH=SCRAM-SHA-256")
	require.NotContains(t, said, "AUTH=PLAIN")
	realtest.Require(t, "curl")
	out := clients.Run(t, t.TempDir(), "curl", "-sSkv", "--user", "alice:"+n.password, "imaps://"+n.address["IMAP (TLS)"]+"/", "--sasl-ir")
	require.Contains(t, out, "AUTH=PLAIN")
	require.NotContains(t, out, "SCRAM")
}

// TestBansAreListedAndLifted bans a network in the handler that commands talk
// to; in a node that would take a hundred guesses.
func TestBansAreListedAndLifted(t *testing.T) {
	never := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, auth.ErrBadCredentials
	})
	throttle := auth.NewThrottle(never, auth.ThrottleOptions{BanAfter: 2, UserFailures: 100, NetworkFailures: 100})
	data, err := datadir.Lock(t.TempDir())
	require.NoError(t, err)
	defer data.Close()
	c := newControl(&opened{data: data, logins: &logins{throttle: throttle}})
	say := func(method, path string) string {
		answer := httptest.NewRecorder()
		c.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		return answer.Body.String()
	}
	require.Empty(t, say(http.MethodGet, "/bans"))
	for _, user := range []string{"a", "b", "c"} {
		_, err := throttle.Authenticate(t.Context(), auth.Credentials{User: user, Password: "x", Remote: netip.MustParseAddr("192.0.2.7")})
		require.Error(t, err)
	}
	require.Contains(t, say(http.MethodGet, "/bans"), "192.0.2.7/32  until ")
	require.Equal(t, "1 bans lifted\n", say(http.MethodDelete, "/bans?of=192.0.2.0%2F24"))
	require.Empty(t, say(http.MethodGet, "/bans"))
}

// TestBanCommandsReachTheNode proves the words of the commands.
func TestBanCommandsReachTheNode(t *testing.T) {
	n := startNode(t, "")
	require.Empty(t, n.mustRun("", "ban", "list"))
	require.Equal(t, "0 bans lifted\n", n.mustRun("", "ban", "lift", "192.0.2.1"))
	out, err := n.run("", "ban", "lift", "alice")
	require.Error(t, err)
	require.Contains(t, out, "is not banned")
}

// TestWatchedDirectoriesMakeAnOldPasswordUselessAtOnce changes a password while
// the cache is warm (A08).
func TestWatchedDirectoriesMakeAnOldPasswordUselessAtOnce(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	n := startNode(t, withLDAP(s.URI(), "", `domains = ["example.test"]
watch = true
bind_dn = "cn=reader,ou=services,dc=example,dc=test"
bind_password = "readerpw"
`))
	require.Contains(t, n.imapSays("user0@example.test", "pw", "SELECT INBOX"), "OK [READ-WRITE]")
	require.NoError(t, s.Set(realtest.SlapdUser(0), "userPassword", "new"))
	require.Eventually(t, func() bool { return strings.Contains(n.imapSays("user0@example.test", "pw"), "AUTHENTICATIONFAILED") }, time.Minute, 100*time.Millisecond)
	require.Contains(t, n.imapSays("user0@example.test", "new", "SELECT INBOX"), "OK [READ-WRITE]")
}
