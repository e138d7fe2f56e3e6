package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// imapSays logs a user in, sends commands and returns everything that is said.
func (n *testNode) imapSays(user, password string, commands ...string) string {
	n.t.Helper()
	conn, err := net.Dial("tcp", n.address["IMAP"])
	require.NoError(n.t, err)
	defer conn.Close()
	require.NoError(n.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	for i, c := range append(append([]string{fmt.Sprintf("LOGIN %s %s", user, password)}, commands...), "LOGOUT") {
		_, err := fmt.Fprintf(conn, "a%d %s\r\n", i, c)
		require.NoError(n.t, err)
	}
	var all strings.Builder
	in := bufio.NewScanner(conn)
	for in.Scan() {
		all.WriteString(in.Text() + "\n")
	}
	return all.String()
}

// TestMailboxesAreSharedByIMAP lets alice share her INBOX with bob, whom she
// names as he logs in, and the postmaster make a public folder.
func TestMailboxesAreSharedByIMAP(t *testing.T) {
	n := startNode(t, "")
	n.sendOne("Subject: one\r\n\r\n12345\r\n")
	n.mustRun("secret\n", "user", "add", "bob")
	n.mustRun("secret\n", "user", "add", "postmaster")
	said := n.imapSays("alice", n.password, "SETACL INBOX BOB lr", "GETACL INBOX", "CREATE \"Public Folders/News\"", "SETACL INBOX carol lr", "GETACL INBOX")
	require.Contains(t, said, "* ACL INBOX alice@example.test lrswipkxteacd bob@example.test lr\n")
	require.Contains(t, said, "carol@example.test lr\n", "who is not there is named as who is")
	require.Contains(t, said, "NO [NOPERM]")
	said = n.imapSays("postmaster", "secret", `CREATE "Public Folders/News"`, `SETACL "Public Folders/News" anyone lr`)
	require.NotContains(t, said, " NO ")
	said = n.imapSays("bob", "secret", "NAMESPACE", `LIST "" "*/*"`, `EXAMINE "Other Users/alice@example.test/INBOX"`, "FETCH 1 BODY[TEXT]")
	require.Contains(t, said, `* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Public Folders/" "/"))`)
	require.Contains(t, said, `"Other Users/alice@example.test/INBOX"`)
	require.Contains(t, said, `"Public Folders/News"`)
	require.Contains(t, said, "12345")
	require.Equal(t, "lrswipkxtea\n", n.mustRun("", "acl", "rights", "@example.test", "News", "postmaster"))
	n.requireSound()
}
