package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func TestCurlUploadsListsSearchesAndFetches(t *testing.T) {
	realtest.Require(t, "curl")
	n := startNode(t, "")
	dir := t.TempDir()
	url := "imap://" + n.address["IMAP"] + "/"
	curl := func(args ...string) string {
		t.Helper()
		return runTool(t, dir, "curl", append([]string{"-sS", "--max-time", "30", "--user", n.user + ":" + n.password}, args...)...)
	}
	require.Contains(t, curl(url), "INBOX")
	curl(url, "-X", "CREATE Letters")
	writeFile(t, filepath.Join(dir, "message"), "Subject: by curl\r", "Message-ID: <1@example.org>\r", "\r", "first body\r")
	curl("-T", "message", url+"Letters")
	n.appendNumbered("Letters", 2, 5)
	require.Contains(t, curl(url+"Letters?SUBJECT%20curl"), "* SEARCH 1")
	require.Equal(t, string(numbered(3)), curl(url+"Letters;UID=3"))
	require.Contains(t, curl(url+"Letters;MAILINDEX=1;SECTION=TEXT"), "first body")
	require.Contains(t, curl(url+"Letters", "-X", `STORE 2 +FLAGS (\Deleted)`), `\Deleted`)
	require.Contains(t, curl(url+"Letters", "-X", "EXPUNGE"), "* 2 EXPUNGE")
	require.Contains(t, n.shelf("Letters"), "4@example.org")
	require.NotContains(t, n.shelf("Letters"), "2@example.org")
}

// TestCurlLogsInOverTLSWithEachMechanism logs in with STARTTLS and with TLS
// from the first octet, by AUTHENTICATE with an initial response and without.
func TestCurlLogsInOverTLSWithEachMechanism(t *testing.T) {
	realtest.Require(t, "curl")
	n := startNode(t, "plaintext_auth = \"never\"\n")
	n.needTLS()
	for _, login := range []string{"AUTH=PLAIN", "AUTH=LOGIN"} {
		for _, how := range [][]string{
			{"--ssl-reqd", "imap://" + n.address["IMAP"] + "/"},
			{"imaps://" + n.address["IMAP (TLS)"] + "/"},
			{"--sasl-ir", "imaps://" + n.address["IMAP (TLS)"] + "/"},
		} {
			args := append([]string{"-sSk", "--max-time", "30", "--login-options", login, "--user", n.user + ":" + n.password}, how...)
			require.Contains(t, runTool(t, n.dir, "curl", args...), "INBOX", "%s %v", login, how)
		}
	}
}

// needTLS proves that the node takes no password in the clear.
func (n *testNode) needTLS() {
	n.t.Helper()
	c := n.dial("IMAP")
	require.Regexp(n.t, `^\* OK `, c.line())
	c.send("a LOGIN x y\r\n")
	require.Regexp(n.t, "^a NO .PRIVACYREQUIRED", c.line())
}
