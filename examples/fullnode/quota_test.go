package main

import (
	"bytes"
	"io"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	ourmail "github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/storage"
)

// spaces brings a table into one form.
func spaces(table string) string { return regexp.MustCompile(` +`).ReplaceAllString(table, " ") }

func TestQuotaCommandsWorkWhileTheNodeRunsAndWhileNot(t *testing.T) {
	n := startNode(t, "[storage]\nquota_messages = 100\n[domains.\"other.test\".storage]\nquota_messages = 1\n")
	n.mustRun("secret\n", "user", "add", "bob")
	n.sendSample(sample{"one", []byte("Subject: one\r\n\r\n12345\r\n")})
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		out := spaces(n.mustRun("", "quota", "show"))
		require.Regexp(t, `(?m)^alice@example.test 2% \d+ - 2 100 5 -$`, out)
		require.Contains(t, out, "\nbob@example.test 0% 0 - 0 100 0 -\n", "nothing is made by looking")

		n.mustRun("", "quota", "set", "alice", "bytes=2K", "mailboxes=10")
		n.mustRun("", "quota", "set", "alice@example.test", "mailbox=Trash", "messages=7")
		out = spaces(n.mustRun("", "quota", "show", "alice"))
		require.Regexp(t, `(?m)^alice@example.test \d+% \d+ 2K 2 100 5 10$`, out)
		require.Contains(t, out, "\n\"Trash\" 0% 0 - 0 7 1 -\n")
		require.Contains(t, out, "\n\"Sent\" - 0 - 0 - 1 -\n")
		n.mustRun("", "quota", "set", "alice", "messages=0")
		require.Regexp(t, `(?m)^alice@example.test \d+% \d+ 2K 2 - 5 10$`, spaces(n.mustRun("", "quota", "show", "alice")))
		n.mustRun("", "quota", "reset", "alice", "mailbox=Trash")
		n.mustRun("", "quota", "reset", "alice")
		out = spaces(n.mustRun("", "quota", "show", "alice"))
		require.Regexp(t, `(?m)^alice@example.test 2% \d+ - 2 100 5 -$`, out)
		require.Contains(t, out, "\n\"Trash\" - 0 - 0 - 1 -\n")

		for _, words := range [][]string{
			{"set", "alice"}, {"set", "alice", "bytes"}, {"set", "alice", "bytes=10Q"}, {"set", "alice", "messages=-1"}, {"set", "alice", "mail=1"},
			{"set", "alice", "bytes=1", "bytes=2"}, {"set", "alice", "mailbox=Trash"}, {"set", "alice", "mailbox=None", "bytes=1"},
			{"set", "nobody", "bytes=1"}, {"show", "nobody"}, {"reset", "alice", "bytes=1"}, {"reset"},
		} {
			out, err := n.run("", append([]string{"quota"}, words...)...)
			require.Error(t, err, "%v: %s", words, out)
		}
		n.requireSound()
	}
}

// TestFullAccountIsToldAndRefusesMail fills an account over each way in.
func TestFullAccountIsToldAndRefusesMail(t *testing.T) {
	n := startNode(t, "[storage]\nthresholds = [50, 100]\n")
	n.mustRun("", "quota", "set", n.user, "messages=3")
	send := func(service, hello string) string {
		c := n.dial(service)
		c.mailFrom(hello, "bob@example.org", n.user)
		return c.data([]byte("Subject: filler\r\n\r\nx\r\n"))
	}
	require.Regexp(t, "^250 ", send("SMTP", "EHLO"))
	require.Regexp(t, "^250 ", send("LMTP", "LHLO"))
	// Two of three are 66 percent: the notice is the third, and takes the
	// account to 100, of which another notice tells, over the quota.
	var inbox [][]byte
	require.Eventually(t, func() bool {
		inbox = bodies(t, n.imapClient(), "INBOX")
		return len(inbox) == 4
	}, waitLong, waitTick)
	require.Contains(t, string(inbox[2]), "Subject: Your mailbox is 66% full\r\n")
	require.Contains(t, string(inbox[2]), "2 of 3 messages")
	require.Contains(t, string(inbox[3]), "Subject: Your mailbox is 100% full\r\n")

	for _, s := range [][2]string{{"SMTP", "EHLO"}, {"LMTP", "LHLO"}} {
		c := n.dial(s[0])
		require.Regexp(t, "^220 ", c.reply())
		require.Regexp(t, "^250 ", c.command(s[1]+" client.example.org"))
		require.Regexp(t, "^250 ", c.command("MAIL FROM:<bob@example.org>"))
		require.Equal(t, "452 4.2.2 The mailbox is full, please try again later", c.command("RCPT TO:<"+n.user+">"))
	}
	c := n.dial("IMAP")
	c.line()
	c.send("a LOGIN " + n.user + " " + n.password + "\r\n")
	require.Regexp(t, "^a OK ", c.line())
	c.send("b APPEND INBOX {3+}\r\nabc\r\n")
	require.Equal(t, "b NO [OVERQUOTA] Quota exceeded", c.line())
	c.send("c GETQUOTAROOT INBOX\r\n")
	require.Equal(t, `* QUOTAROOT INBOX ""`, c.line())
	require.Equal(t, `* QUOTA "" (MESSAGE 4 3)`, c.line())
	require.Regexp(t, "^c OK ", c.line())
	n.requireSound()
}

// TestBoundOfAMailboxIsFoundWhenTheMessageIsThere proves what SMTP and LMTP
// answer to a message that turns out to have no room.
func TestBoundOfAMailboxIsFoundWhenTheMessageIsThere(t *testing.T) {
	n := startNode(t, "[storage]\nmailbox_quota_bytes = \"1K\"\n")
	for _, s := range [][2]string{{"SMTP", "EHLO"}, {"LMTP", "LHLO"}} {
		c := n.dial(s[0])
		c.mailFrom(s[1], "bob@example.org", n.user)
		answer := c.data([]byte("Subject: large\r\n\r\n" + strings.Repeat("line\r\n", 300)))
		require.Contains(t, answer, "452 4.2.2 ")
		require.Contains(t, answer, "The mailbox is full")
	}
	require.Empty(t, bodies(t, n.imapClient(), "INBOX"))
	c := n.dial("IMAP")
	c.line()
	c.send("a LOGIN " + n.user + " " + n.password + "\r\n")
	require.Regexp(t, "^a OK .* QUOTA .*QUOTA=RES-STORAGE", c.line())
	c.send("b APPEND INBOX {1025}\r\n")
	require.Equal(t, "b NO [OVERQUOTA] Quota exceeded", c.line(), "before it is sent")
	c.send("c GETQUOTAROOT INBOX\r\n")
	for _, want := range []string{`* QUOTAROOT INBOX "" INBOX`, `* QUOTA "" ()`, "* QUOTA INBOX (STORAGE 0 1)"} {
		require.Equal(t, want, c.line())
	}
	require.Regexp(t, "^c OK ", c.line())
	c.send("d SETQUOTA INBOX (STORAGE 100)\r\n")
	require.Equal(t, "d NO [NOPERM] Permission denied", c.line(), "quotas are the operator's to set")
}

func TestNoticeIsAMessageAsItShouldBe(t *testing.T) {
	text, err := composeNotice("mail.example.test", ourmail.MustParseAddress("alice@example.test"), storage.Notice{
		User: "alice@example.test", Threshold: 80, Limit: storage.Quota{Bytes: 1000, Mailboxes: 10}, Used: storage.Quota{Bytes: 850, Messages: 3, Mailboxes: 2},
	})
	require.NoError(t, err)
	require.NotRegexp(t, `[^\r]\n|\r[^\n]|[\x80-\xff]`, string(text))
	for line := range bytes.Lines(text) {
		require.LessOrEqual(t, len(line), 80)
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	require.NoError(t, err)
	for field, want := range map[string]string{
		"From": "Postmaster <postmaster@mail.example.test>", "To": "<alice@example.test>", "Subject": "Your mailbox is 85% full", "Auto-Submitted": "auto-generated",
	} {
		require.Equal(t, want, m.Header.Get(field))
	}
	_, err = m.Header.Date()
	require.NoError(t, err)
	require.Regexp(t, `^<[a-z0-9]+@mail\.example\.test>$`, m.Header.Get("Message-ID"))
	body, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "    850 of 1000 octets\r\n    2 of 10 mailboxes\r\n")
	require.NotContains(t, string(body), "messages\r\n")
}
