package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// fetchmail polls once and returns the mailbox file that it wrote.
func fetchmail(n *testNode, service, options string) string {
	n.t.Helper()
	dir := n.t.TempDir()
	writeFile(n.t, filepath.Join(dir, "rc"), fmt.Sprintf(
		"poll 127.0.0.1 service %s proto %s user %q pass %q sslproto \"\" %s mda \"cat >>%s/mbox\"",
		n.port(service), service, n.user, n.password, options, dir))
	runTool(n.t, dir, "fetchmail", "--nosyslog", "--pidfile", filepath.Join(dir, "pid"), "-f", filepath.Join(dir, "rc"))
	mbox, err := os.ReadFile(filepath.Join(dir, "mbox"))
	require.NoError(n.t, err)
	return string(mbox)
}

func TestFetchmailTakesMailByPOP3(t *testing.T) {
	realtest.Require(t, "fetchmail")
	n := startNode(t, "")
	for i := range 5 {
		n.sendOne(fmt.Sprintf("Subject: message %d\r\n\r\nbody %d\r\n", i, i))
	}
	mbox := fetchmail(n, "POP3", "nokeep")
	for i := range 5 {
		require.Contains(t, mbox, fmt.Sprintf("body %d", i))
	}
	require.Empty(t, n.shelf("INBOX"), "nokeep deletes what was fetched")
}

// TestFetchmailTakesMailByIMAP fetches and keeps, which leaves the messages
// seen, and then what came after, which it deletes.
func TestFetchmailTakesMailByIMAP(t *testing.T) {
	realtest.Require(t, "fetchmail")
	n := startNode(t, "")
	n.appendNumbered("INBOX", 0, 5)
	mbox := fetchmail(n, "IMAP", "keep")
	for i := range 5 {
		require.Contains(t, mbox, fmt.Sprintf("body %d", i))
		require.Equal(t, `\Seen`, n.shelf("INBOX")[fmt.Sprintf("%d@example.org", i)])
	}
	n.appendNumbered("INBOX", 5, 7)
	mbox = fetchmail(n, "IMAP", "nokeep expunge 1")
	require.NotContains(t, mbox, "body 4")
	require.Contains(t, mbox, "body 5")
	require.Contains(t, mbox, "body 6")
	require.Len(t, n.shelf("INBOX"), 5, "nokeep deletes what was fetched")
}
