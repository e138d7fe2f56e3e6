package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// sendOne sends one message to the node's user by SMTP.
func (n *testNode) sendOne(content string) {
	n.t.Helper()
	c := n.dial("SMTP")
	c.mailFrom("EHLO", "someone@example.org", n.user)
	require.Regexp(n.t, "^250 ", c.data([]byte(content)))
	c.Close()
}

// TestMailGoesOutThroughPostfixAndComesBackByLMTP sends a message for a
// foreign domain: the node queues it and relays it to a Postfix, whose route
// for that domain leads back to the node's LMTP as mail for a local user.
func TestMailGoesOutThroughPostfixAndComesBackByLMTP(t *testing.T) {
	realtest.Require(t, "postfix")
	realtest.RequireRoot(t)
	ctx := context.Background()
	n := startNode(t, "")
	postfix, err := realtest.StartPostfix(ctx, realtest.PostfixRoutes{
		"example.test": "lmtp:inet:[127.0.0.1]:" + n.port("LMTP"), "discard.test": "discard:",
	})
	require.NoError(t, err)
	defer postfix.Stop()

	sender := startNode(t, fmt.Sprintf("domain = \"sender.test\"\n[relay]\nsmart_host = \"127.0.0.1:%d\"\nprivate_targets = true\n", postfix.SMTP))
	c := sender.dial("SMTP")
	require.Regexp(t, "^220 ", c.reply())
	require.Regexp(t, "^250 ", c.command("EHLO client.example.org"))
	require.Regexp(t, "^235 ", c.command("AUTH PLAIN "+plainResponse(sender.user, sender.password)))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<"+sender.user+">"))
	require.Regexp(t, "^250 ", c.command("RCPT TO:<"+n.user+">"))
	require.Regexp(t, "^250 ", c.command("RCPT TO:<nobody@discard.test>"))
	// Complete, so that no relay has a field to add.
	content := []byte("From: <" + sender.user + ">\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-Id: <1@sender.test>\r\n" +
		"To: <" + n.user + ">\r\nSubject: a round trip\r\n\r\n.\r\n..dots\r\nbody\r\n")
	require.Regexp(t, "^250 ", c.data(content))
	arrived := func() bool {
		got := bodies(t, n.imapClient(), "INBOX")
		return len(got) == 1 && bytes.HasSuffix(got[0], content)
	}
	require.Eventually(t, arrived, waitLong, 10*waitTick)
	empty := func() bool { return strings.Count(sender.mustRun("", "queue", "list"), "\n") == 1 }
	require.Eventually(t, empty, waitLong, 10*waitTick)
}

// TestRefusedMailComesBackAsAReport proves that a message for an address that
// the next hop refuses comes back to its sender as a delivery report.
func TestRefusedMailComesBackAsAReport(t *testing.T) {
	n := startNode(t, "")
	sender := startNode(t, fmt.Sprintf("domain = \"sender.test\"\n[relay]\nsmart_host = %q\nprivate_targets = true\n", n.address["SMTP"]))
	c := sender.dial("SMTP")
	c.reply()
	c.command("EHLO client.example.org")
	require.Regexp(t, "^235 ", c.command("AUTH PLAIN "+plainResponse(sender.user, sender.password)))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<"+sender.user+">"))
	require.Regexp(t, "^250 ", c.command("RCPT TO:<nobody@example.test>"))
	require.Regexp(t, "^250 ", c.data([]byte("Subject: lost\r\n\r\nbody\r\n")))
	var report []byte
	require.Eventually(t, func() bool {
		if got := bodies(t, sender.imapClient(), "INBOX"); len(got) == 1 {
			report = got[0]
		}
		return report != nil
	}, waitLong, 10*waitTick)
	require.Contains(t, string(report), "multipart/report")
	require.Contains(t, string(report), "Final-Recipient: rfc822; nobody@example.test")
	require.Contains(t, string(report), "5.1.1")
}

func TestQueueCommandsShowAndRemoveWhatWaits(t *testing.T) {
	port, err := realtest.FreePort() // nobody listens there
	require.NoError(t, err)
	n := startNode(t, fmt.Sprintf("[relay]\nsmart_host = \"127.0.0.1:%d\"\nprivate_targets = true\n", port))
	c := n.dial("SMTP")
	c.reply()
	c.command("EHLO client.example.org")
	require.Regexp(t, "^235 ", c.command("AUTH PLAIN "+plainResponse(n.user, n.password)))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<"+n.user+">"))
	require.Regexp(t, "^250 ", c.command("RCPT TO:<far@example.org>"))
	require.Regexp(t, "^250 ", c.data([]byte("Subject: waits\r\n\r\nbody\r\n")))
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		list := n.mustRun("", "queue", "list")
		require.Contains(t, list, "<far@example.org>")
		id := strings.Fields(strings.Split(list, "\n")[1])[0]
		require.Contains(t, n.mustRun("", "queue", "show", id), "Subject: waits")
		if running {
			n.mustRun("", "queue", "retry", id)
			n.mustRun("", "queue", "retry")
			continue
		}
		n.mustRun("", "queue", "remove", id)
		_, err := n.run("", "queue", "show", id)
		require.Error(t, err)
		require.Equal(t, 1, strings.Count(n.mustRun("", "queue", "list"), "\n"))
	}
}
