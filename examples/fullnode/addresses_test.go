package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAddressesLeadWhereOperatorsSay makes a group, an alias of a domain, a
// catch-all and the address of a public folder, and sends a mail to each.
func TestAddressesLeadWhereOperatorsSay(t *testing.T) {
	n := startNode(t, "")
	n.mustRun("secret\n", "user", "add", "bob")
	n.mustRun("", "alias", "add", "boss", "alice")
	n.mustRun("", "group", "set", "team", "boss", "bob")
	n.mustRun("", "domain", "alias", "example.org", "example.test")
	n.mustRun("", "domain", "catch-all", "example.test", "bob", "Unknown")
	n.mustRun("", "mailbox", "create", "bob", "Unknown")
	n.mustRun("", "mailbox", "create", "@example.test", "News")
	n.mustRun("", "folder", "set", "news", "@example.test", "News")
	require.Equal(t, "example.test\n", n.mustRun("", "domain", "list"))
	require.Equal(t, "team@example.test  bob@example.test boss@example.test\n", n.mustRun("", "group", "list"))
	require.Equal(t, "boss@example.test  alice@example.test\n", n.mustRun("", "alias", "list"))
	_, err := n.run("", "group", "set", "other", "nobody")
	require.Error(t, err)

	for _, to := range []string{"team@example.org", "nobody@example.test", "news@example.test"} {
		c := n.dial("SMTP")
		c.mailFrom("EHLO", "someone@example.org", to)
		require.Regexp(t, "^250 ", c.data([]byte("Subject: hello\r\n\r\nhello\r\n")))
		c.Close()
	}
	for _, place := range [][2]string{{"alice", "INBOX"}, {"bob", "INBOX"}, {"bob", "Unknown"}, {"@example.test", "News"}} {
		require.Regexp(t, `(?m)^"`+place[1]+`" +mail +- +1 `, n.mustRun("", "mailbox", "list", place[0]), "%v", place)
	}
	n.mustRun("", "group", "remove", "team")
	n.mustRun("", "domain", "catch-all", "example.test")
	n.mustRun("", "folder", "remove", "news")
	n.mustRun("", "alias", "remove", "boss")
	n.mustRun("", "domain", "unalias", "example.org")
	for _, to := range []string{"team@example.test", "nobody@example.test", "news@example.test", "boss@example.test"} {
		c := n.dial("SMTP")
		require.Regexp(t, "^220 ", c.reply())
		require.Regexp(t, "^250 ", c.command("EHLO client.example.org"))
		require.Regexp(t, "^250 ", c.command("MAIL FROM:<someone@example.org>"))
		require.Regexp(t, "^550 5.1.1", c.command("RCPT TO:<"+to+">"))
		c.Close()
	}
}

// TestGroupsHaveRights lets a group read a mailbox: with its members' rights
// come and go what they may do.
func TestGroupsHaveRights(t *testing.T) {
	n := startNode(t, "")
	n.mustRun("secret\n", "user", "add", "bob")
	n.mustRun("", "group", "set", "team", "bob")
	said := n.imapSays("alice", n.password, "SETACL INBOX group:TEAM lr", "GETACL INBOX")
	require.Contains(t, said, "group:team@example.test lr")
	require.Equal(t, "lr\n", n.mustRun("", "acl", "rights", "alice", "INBOX", "bob"))
	require.Contains(t, n.imapSays("bob", "secret", `EXAMINE "Other Users/alice@example.test/INBOX"`), "[READ-ONLY]")
	n.mustRun("", "group", "set", "team")
	require.NotContains(t, n.imapSays("bob", "secret", `EXAMINE "Other Users/alice@example.test/INBOX"`), "[READ-ONLY]")
}
