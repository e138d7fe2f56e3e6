package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// names returns the mailboxes that IMAP lists.
func (n *testNode) names() (names []string) {
	n.t.Helper()
	c := n.imapClient()
	list, err := c.List("", "*", nil).Collect()
	require.NoError(n.t, err)
	for _, m := range list {
		names = append(names, m.Mailbox)
	}
	require.NoError(n.t, c.Logout().Wait())
	return names
}

func TestMailboxCommandsWorkWhileTheNodeRunsAndWhileNot(t *testing.T) {
	n := startNode(t, "")
	n.sendOne("Subject: one\r\n\r\n12345\r\n")
	before := n.names()
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		require.Equal(t, "MAILBOX KIND USE MESSAGES BYTES\n", spaces(n.mustRun("", "mailbox", "list", "@example.test")))
		n.mustRun("", "mailbox", "create", "@Example.Test", "Announcements/of all")
		out := spaces(n.mustRun("", "mailbox", "list", "@example.test"))
		require.Equal(t, "MAILBOX KIND USE MESSAGES BYTES\n\"Announcements\" mail - 0 0\n\"Announcements/of all\" mail - 0 0\n", out)

		n.mustRun("", "mailbox", "create", "-kind", "calendar", "alice", "Work")
		n.mustRun("", "mailbox", "create", "alice@example.test", "Work/Travel")
		n.mustRun("", "mailbox", "rename", "alice", "Work/Travel", "Work/On the road")
		out = spaces(n.mustRun("", "mailbox", "list", "alice"))
		require.Regexp(t, `(?m)^"INBOX" mail - 1 \d{2,}$`, out)
		require.Contains(t, out, "\n\"Trash\" mail \\Trash 0 0\n")
		require.Contains(t, out, "\n\"Work\" calendar - 0 0\n\"Work/On the road\" calendar - 0 0\n")
		if running {
			require.Equal(t, before, n.names(), "IMAP has no calendars")
		}

		for _, words := range [][]string{
			{"list"}, {"list", "nobody"}, {"list", "@other.test"}, {"list", "@a@example.test"}, {"list", "@"}, {"list", "alice", "INBOX"},
			{"create", "alice"}, {"create", "alice", "Work"}, {"create", "alice", "a//b"}, {"create", "-kind", "mail", "alice", "Work/Mail"},
			{"create", "-kind", "calender", "alice", "New"}, {"create", "@example.test", ""}, {"create", "@other.test", "New"},
			{"rename", "alice", "None", "New"}, {"rename", "alice", "Work", "INBOX/Work"}, {"rename", "alice", "Work"},
			{"delete", "alice", "Work"}, {"delete", "alice", "INBOX"}, {"delete", "alice", "None"}, {"delete", "alice"}, {},
		} {
			out, err := n.run("", append([]string{"mailbox"}, words...)...)
			require.Error(t, err, "%v: %s", words, out)
		}
		for _, m := range [][2]string{
			{"alice", "Work/On the road"}, {"alice", "Work"}, {"@example.test", "Announcements/of all"}, {"@example.test", "Announcements"},
		} {
			n.mustRun("", "mailbox", "delete", m[0], m[1])
		}
		require.NotContains(t, n.mustRun("", "mailbox", "list", "alice"), "Work")
		require.NotContains(t, n.mustRun("", "undelete", "list", "@example.test"), "Announcements")
		n.mustRun("", "quota", "set", "@example.test", "messages=5")
		require.Regexp(t, `(?m)^@example.test .* 5 `, spaces(n.mustRun("", "quota", "show", "@example.test")))
		n.requireSound()
	}
}

const aclTitle = "ALLOWED DENIED LEVEL IDENTIFIER\n"

func TestACLCommandsWorkWhileTheNodeRunsAndWhileNot(t *testing.T) {
	n := startNode(t, "")
	n.mustRun("secret\n", "user", "add", "bob")
	n.mustRun("", "mailbox", "create", "@example.test", "Announcements")
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		acl := func(words ...string) string { return spaces(n.mustRun("", append([]string{"acl"}, words...)...)) }
		show := func() string { return acl("show", "@example.test", "Announcements") }
		set := func(words ...string) { acl(append([]string{"set", "@example.test", "Announcements"}, words...)...) }
		rights := func(who string) string { return acl("rights", "@example.test", "Announcements", who) }

		require.Equal(t, "mode plain\n"+aclTitle, show())
		set("anyone", "viewer")
		set("bob", "lrs")
		set("bob", "+ia")
		set("bob@example.test", "-s")
		set("group:staff", "no-access")
		set("-alice", "r")
		require.Equal(t, "mode plain\n"+aclTitle+
			"- r custom alice@example.test\nlr - viewer anyone\nlria - custom bob@example.test\n- lrswipkxtea no access group:staff@example.test\n", show())
		require.Equal(t, "lria\n", rights("bob"))
		require.Equal(t, "l\n", rights("alice"))
		require.Equal(t, "lr\n", rights("anyone"))

		acl("remove", "@example.test", "Announcements", "-alice")
		acl("remove", "@example.test", "Announcements", "bob")
		acl("remove", "@example.test", "Announcements", "-group:staff")
		require.Equal(t, "mode plain\n"+aclTitle+"lr - viewer anyone\n", show())
		acl("remove", "@example.test", "Announcements", "anyone")
		require.Equal(t, "-\n", rights("bob"))

		require.Equal(t, "lrswipkxtea\n", acl("rights", "alice", "INBOX", "alice"), "it is hers")
		require.Equal(t, "-\n", acl("rights", "alice", "INBOX", "bob"))
		acl("set", "alice", ".", "bob", "editor")
		require.Equal(t, "mode plain\n"+aclTitle+"lrswipte - editor bob@example.test\n", acl("show", "alice"))
		require.Equal(t, acl("show", "alice"), acl("show", "alice", "."))
		require.Equal(t, "-\n", acl("rights", "alice", "INBOX", "bob"), "a list alone counts")
		acl("remove", "alice", ".", "bob")

		for _, words := range [][]string{
			{"show"}, {"show", "nobody"}, {"show", "@other.test"}, {"show", "alice", "None"}, {"show", "alice", "a//b"},
			{"set", "alice", "INBOX", "bob"}, {"set", "alice", "INBOX", "bob", "lz"}, {"set", "alice", "INBOX", "bob", "custom"},
			{"set", "alice", "INBOX", "nobody", "l"}, {"set", "alice", "INBOX", "-bob", "viewer"}, {"set", "alice", "INBOX", "", "l"},
			{"set", "alice", "None", "bob", "l"}, {"set", "alice", "INBOX", "group:", "l"},
			{"remove", "alice", "INBOX", "bob"}, {"remove", "alice", "INBOX", "nobody"}, {"remove", "alice", "INBOX"},
			{"rights", "alice", "INBOX", "nobody"}, {"rights", "alice", "None", "bob"}, {"rights", "alice", "INBOX"}, {},
		} {
			out, err := n.run("", append([]string{"acl"}, words...)...)
			require.Error(t, err, "%v: %s", words, out)
		}
		n.requireSound()
	}
}

// TestRightsFollowTheModeOfTheDomain proves that the configuration decides how
// lists are read, and that who is no longer there can be taken out of them.
func TestRightsFollowTheModeOfTheDomain(t *testing.T) {
	n := startNode(t, "[domains.\"example.test\".storage]\nacl = \"inherit\"\n")
	n.mustRun("secret\n", "user", "add", "bob")
	n.mustRun("", "acl", "set", "alice", ".", "bob", "contributor")
	n.mustRun("", "acl", "set", "alice", "Trash", "-bob", "i")
	require.Equal(t, "mode inherit\n"+aclTitle+"- i custom bob@example.test\n", spaces(n.mustRun("", "acl", "show", "alice", "Trash")))
	require.Equal(t, "lrip\n", n.mustRun("", "acl", "rights", "alice", "INBOX", "bob"))
	require.Equal(t, "lrp\n", n.mustRun("", "acl", "rights", "alice", "Trash", "bob"))
	n.mustRun("", "user", "remove", "bob")
	n.mustRun("", "acl", "remove", "alice", ".", "bob@example.test")
	n.mustRun("", "acl", "remove", "alice", "Trash", "-bob@example.test")
	require.Equal(t, "mode inherit\n"+aclTitle, spaces(n.mustRun("", "acl", "show", "alice", "Trash")))
	n.requireSound()
}
