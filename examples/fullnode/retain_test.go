package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// expungeInbox removes everything from INBOX by IMAP.
func expungeInbox(n *testNode) {
	n.t.Helper()
	c := n.imapClient()
	_, err := c.Select("INBOX", nil).Wait()
	require.NoError(n.t, err)
	require.NoError(n.t, c.Store(imap.SeqSet{{Start: 1}}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	require.NoError(n.t, c.Expunge().Close())
	require.NoError(n.t, c.Logout().Wait())
}

func TestExpungedMailComesBackWithUndelete(t *testing.T) {
	n := startNode(t, "[storage]\nretention = \"7d\"\n")
	n.sendOne("From: a@example.org\r\nSubject: =?utf-8?q?first_=C3=A4?=\r\n\r\none\r\n")
	n.sendOne("Subject: second\r\n\r\ntwo\r\n")
	before := bodies(t, n.imapClient(), "INBOX")
	require.Len(t, before, 2)
	expungeInbox(n)
	require.Empty(t, bodies(t, n.imapClient(), "INBOX"))

	ids := func() (ids []string) {
		for _, m := range regexp.MustCompile(`(?m)^(\d+) +\d{4}-`).FindAllStringSubmatch(n.mustRun("", "undelete", "list", n.user), -1) {
			ids = append(ids, m[1])
		}
		return ids
	}
	list := n.mustRun("", "undelete", "list", "alice")
	require.Contains(t, list, "first ä")
	require.Contains(t, list, "second")
	two := ids()
	require.Len(t, two, 2)
	require.Equal(t, "1 messages are restored\n", n.mustRun("", "undelete", "restore", n.user, "-into", "Saved/here", two[1]))
	require.Equal(t, before[1:], bodies(t, n.imapClient(), "Saved/here"))
	_, err := n.run("", "undelete", "restore", n.user, "-into", "a//b")
	require.Error(t, err)
	_, err = n.run("", "undelete", "restore", n.user, "x")
	require.Error(t, err)
	_, err = n.run("", "undelete", "list", "nobody")
	require.Error(t, err)
	_, err = n.run("", "undelete", "discard", n.user)
	require.Error(t, err, "nothing is discarded by an oversight")

	n.stop() // and on the directory itself
	require.Equal(t, "1 messages are restored\n", n.mustRun("", "undelete", "restore", n.user))
	require.Empty(t, ids())
	require.Equal(t, "0 old messages are expunged\n", n.mustRun("", "purge"))
	again := startIn(t, n.dir)
	again.user, again.password = n.user, n.password
	n = again
	require.Equal(t, before[:1], bodies(t, n.imapClient(), "INBOX"))
	expungeInbox(n)
	require.Equal(t, "1 messages are gone for good\n", n.mustRun("", "undelete", "discard", n.user, "-all"))
	require.Empty(t, ids())
	n.requireSound()
}

func TestRetentionConfigBecomesSettings(t *testing.T) {
	s := defaultConfig().settings()("example.test")
	require.Zero(t, s.Retention)
	require.Equal(t, []storage.Purge{{Attr: imap.MailboxAttrTrash, Age: 30 * day}, {Attr: imap.MailboxAttrJunk, Age: 30 * day}}, s.Purge)
	c, err := configOf(t, "[storage]\nretention = \"36h\"\npurge_junk = \"0s\"\n[domains.\"a.test\".storage]\nretention = \"14d\"\n")
	require.NoError(t, err)
	require.Equal(t, 36*time.Hour, c.settings()("example.test").Retention)
	require.Equal(t, 14*day, c.settings()("a.test").Retention)
	require.Equal(t, []storage.Purge{{Attr: imap.MailboxAttrTrash, Age: 30 * day}, {Attr: imap.MailboxAttrJunk}}, c.settings()("a.test").Purge)
	for _, bad := range []string{"retention = \"-1h\"", "purge_trash = \"xd\"", "purge_junk = \"-3d\"", "retention = \"99999999d\""} {
		_, err := configOf(t, "[storage]\n"+bad+"\n")
		require.Error(t, err, bad)
	}
}

func TestTextOfStrangersIsPrintable(t *testing.T) {
	require.Equal(t, "a?[31mä b", printable("a\x1b[31mä b"))
	require.False(t, strings.ContainsAny(printable("a\tb\r\nc"), "\t\r\n"))
}
