package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// actAs logs in in a user's name, as a front end does that has checked him, and
// returns the connection and the last line of the answer.
func (n *testNode) actAs(service, front, user, as, password string) (*lineConn, string) {
	n.t.Helper()
	c := n.throughFront(service, front)
	response := base64.StdEncoding.EncodeToString([]byte(user + "\x00" + as + "\x00" + password))
	switch service {
	case "IMAP":
		c.line()
		said := strings.Split(strings.TrimSpace(c.imapLines("AUTHENTICATE PLAIN "+response)), "\n")
		return c, said[len(said)-1]
	case "POP3":
		c.line()
		c.send("AUTH PLAIN " + response + "\r\n")
		return c, c.line()
	}
	c.reply()
	c.command("EHLO front.example.test")
	return c, c.command("AUTH PLAIN " + response)
}

// TestP50FrontEndUserActsForUsersAndAdministersNothing: what a front end logs in
// with opens the accounts of users, with their rights, and nothing else.
func TestP50FrontEndUserActsForUsersAndAdministersNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("front secret\n"), 0o600))
	n := startNode(t, fmt.Sprintf("trusted_front_ends = [\"127.0.0.2/32\"]\nfront_end_user = \"front\"\nfront_end_password_file = %q\n", file))
	const front, password, bob = "127.0.0.2", "front secret", "bob@example.test"
	n.mustRun("secret\n", "user", "add", bob)
	n.mustRun("secret\n", "user", "add", "postmaster@example.test")
	n.mustRun("", "mailbox", "create", "@example.test", "News")
	n.mustRun("", "acl", "set", "@example.test", "News", bob, "lr")
	good := map[string]string{"IMAP": "T OK", "POP3": "+OK", "submission": "235 "}
	bad := map[string]string{"IMAP": "T NO [AUTHENTICATIONFAILED]", "POP3": "-ERR [AUTH]", "submission": "535 "}
	var tries sync.WaitGroup // together, since each failure is held up
	for service := range good {
		answer := func(front, user, as, password string) string {
			c, said := n.actAs(service, front, user, as, password)
			c.Close()
			return said
		}
		require.Contains(t, answer(front, bob, "front", password), good[service], service)
		require.Contains(t, answer(front, "Bob@Example.test", "FRONT", password), good[service], service)
		for what, words := range map[string][4]string{
			"it is no user":                      {front, "", "front", password},
			"nor one of its name":                {front, "front", "front", password},
			"it does not act for administrators": {front, "postmaster@example.test", "front", password},
			"nor for nobody":                     {front, "nobody@example.test", "front", password},
			"nor for public folders":             {front, "@example.test", "front", password},
			"with another password":              {front, bob, "front", "wrong"},
			"a user is no front end":             {front, n.user, bob, "secret"},
			"from elsewhere":                     {"127.0.0.1", bob, "front", password},
		} {
			tries.Go(func() {
				if said := answer(words[0], words[1], words[2], words[3]); !strings.Contains(said, bad[service]) {
					t.Errorf("%s: %s: %s", service, what, said)
				}
			})
		}
	}
	tries.Wait()

	c, said := n.actAs("IMAP", front, bob, "front", password)
	require.Contains(t, said, "T OK")
	c.imapOK("CREATE mine")
	c.imapOK(`STATUS "Public Folders/News" (MESSAGES)`)
	for _, command := range []string{
		`SETQUOTA "" (STORAGE 1000000)`, `CREATE "Public Folders/More"`, `DELETE "Public Folders/News"`,
		`SETACL "Public Folders/News" front lrswipkxtea`, `STATUS "Other Users/` + n.user + `/INBOX" (MESSAGES)`,
		`SETACL "Other Users/` + n.user + `/INBOX" ` + bob + ` lr`, `SETMETADATA "" (/shared/admin "x")`,
	} {
		require.Contains(t, c.imapLines(command), "T NO ", command)
	}
}
