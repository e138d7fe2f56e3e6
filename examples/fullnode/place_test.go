package main

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
)

// frontEnd is a mail server that tells who gets what it takes.
func frontEnd(t *testing.T) (address string, recipients <-chan string) {
	t.Helper()
	got := make(chan string, 10)
	s := &smtp.Server{
		Handler: smtp.HandlerFunc(func(_ context.Context, m *smtp.Message) error {
			for _, r := range m.Envelope.Recipients {
				got <- r.To.String()
			}
			return nil
		}),
		Hooks: []smtp.Hooks{{Rcpt: func(context.Context, *smtp.Session, *mail.Envelope, *mail.Recipient) error { return nil }}},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(context.WithoutCancel(t.Context()), l) }()
	t.Cleanup(func() { _ = s.Close(); <-served })
	return l.Addr().String(), got
}

// TestR3415ANodeMayBeOneOfSeveralBackEnds: users whose mailHost is another get
// their mail by way of the front ends, from who has logged in here.
func TestR3415ANodeMayBeOneOfSeveralBackEnds(t *testing.T) {
	s := slapd(t, realtest.SlapdOptions{})
	address, forwarded := frontEnd(t)
	n := startNode(t, withLDAP(s.URI(), fmt.Sprintf("host = \"backend0.example.test\"\nforward_to = [%q]\n", address), "domains = [\"example.test\"]\n"))
	c := n.dial("SMTP")
	c.mailFrom("EHLO", "someone@example.org", "user0@example.test")
	require.Regexp(t, "^250 ", c.data([]byte("Subject: hello\r\n\r\nhello\r\n")))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<someone@example.org>"))
	require.Regexp(t, "^550 ", c.command("RCPT TO:<user1@example.test>"), "strangers go to the front ends")
	require.Regexp(t, "^550 5.1.1", c.command("RCPT TO:<nobody@example.test>"))

	c = n.dial("submission")
	c.reply()
	require.Regexp(t, "^250 ", c.command("EHLO client.test"))
	require.Regexp(t, "^235 ", c.command("AUTH PLAIN "+plainResponse("user0@example.test", "pw")))
	require.Regexp(t, "^250 ", c.command("MAIL FROM:<user0@example.test>"))
	for _, to := range []string{"user1@example.test", n.user, "user2@example.test"} {
		require.Regexp(t, "^250 ", c.command("RCPT TO:<"+to+">"))
	}
	require.Regexp(t, "^250 ", c.data([]byte("Subject: to all\r\n\r\nhello\r\n")))
	require.Equal(t, "user1@example.test", <-forwarded)
	require.Len(t, bodies(t, n.imapAs("user0@example.test", "pw"), "INBOX"), 1)
	require.Len(t, bodies(t, n.imapAs("user2@example.test", "pw"), "INBOX"), 1)
	require.Len(t, bodies(t, n.imapClient(), "INBOX"), 1, "the node's own account lives here")
	require.Empty(t, forwarded)
}

func TestAPlaceAmongBackEndsNeedsADirectory(t *testing.T) {
	for keys, says := range map[string]string{
		"host = \"a\"\n":                             "no [ldap] has domains",
		"forward_to = [\"front:25\"]\n":              "forward_to needs host",
		"host = \"a\"\nforward_to = [\"front\"]\n":   "forward_to: ",
		"host = \"a\"\nforward_to = [\"front:0\"]\n": "forward_to: ",
	} {
		_, err := configOf(t, keys)
		require.ErrorContains(t, err, says)
	}
	c, err := configOf(t, withLDAP("ldap://x.test", "host = \"a\"\n", "domains = [\"example.test\"]\n"))
	require.NoError(t, err)
	require.Equal(t, "a", c.Host)
}
