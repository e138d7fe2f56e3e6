package processing

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/smtp"
)

// listen serves a world through a real server and returns its address.
func (w *world) listen(t testing.TB, p smtp.Protocol) string {
	s := &smtp.Server{
		Protocol: p, Hostname: "mx.here.test", Handler: w.Processor, Hooks: []smtp.Hooks{w.Hooks()},
		Auth: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
			if c.Password != "secret" {
				return auth.Identity{}, auth.ErrBadCredentials
			}
			return auth.Identity{User: c.User}, nil
		}),
		PlainAuth: func(netip.Addr) bool { return true },
		Logger:    slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
		<-done
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr string) *gosmtp.Client {
	c, err := gosmtp.Dial(addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func give(c *gosmtp.Client, from string, to []string, content string) error {
	if err := c.Mail(from, nil); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a, nil); err != nil {
			return err
		}
	}
	d, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := d.Write([]byte(content)); err != nil {
		return err
	}
	return d.Close()
}

func TestSubmissionReachesLocalAndRemoteMailboxes(t *testing.T) {
	m := newRemote(t)
	w := connected(t, m)
	c := dial(t, w.listen(t, smtp.Submission))
	require.NoError(t, c.Auth(sasl.NewPlainClient("", "alice@here.test", "secret")))
	var refusal *gosmtp.SMTPError
	require.ErrorAs(t, c.Mail("bob@here.test", nil), &refusal)
	require.Equal(t, 553, refusal.Code)
	require.NoError(t, give(c, "alice@here.test", []string{"bob@here.test", "x@far.test"}, "Subject: hi\r\n\r\n.hello\r\n"))
	w.run(func() {
		require.Eventually(t, func() bool { return len(m.messages()) == 1 && len(w.queued(t)) == 0 }, 10*time.Second, 2*time.Millisecond)
	})
	inbox := w.inbox(t, "bob@here.test")
	require.Len(t, inbox, 1)
	require.True(t, strings.HasPrefix(inbox[0], "Return-Path: <alice@here.test>\r\nDelivered-To: bob@here.test\r\nReceived: from "), inbox[0])
	for _, content := range []string{inbox[0], strings.ReplaceAll(m.messages()[0], "\r\n..", "\r\n.")} {
		require.Contains(t, content, "\r\nDate: ")
		require.Contains(t, content, "\r\nMessage-ID: <")
		require.True(t, strings.HasSuffix(content, "Subject: hi\r\n\r\n.hello\r\n"), content)
	}
}

func TestS18StrangersCantRelayThroughTheServer(t *testing.T) {
	w := newWorld(t, nil)
	addr := w.listen(t, smtp.ESMTP)
	for _, to := range []string{
		"user@foreign.test", "user%foreign.test@here.test", "foreign.test!user@here.test", "@here.test:user@foreign.test",
		`"user@foreign.test"@here.test`, "user@foreign.test.", "user@[127.0.0.1]", "user@[192.0.2.9]", "user@foreign.test@here.test", "user@xn--hre-bed.test",
	} {
		c := dial(t, addr)
		var refusal *gosmtp.SMTPError
		require.ErrorAs(t, give(c, "a@client.test", []string{to}, text), &refusal, "%q", to)
		require.Contains(t, []int{501, 550, 553, 554}, refusal.Code, "%q", to)
		c.Close()
	}
	require.Empty(t, w.queued(t))
	c := dial(t, addr)
	require.NoError(t, give(c, "a@client.test", []string{"alice@here.test."}, text))
	require.Len(t, w.inbox(t, "alice@here.test"), 1)
}

func TestS26MessageInALoopIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := dial(t, w.listen(t, smtp.ESMTP))
	var refusal *gosmtp.SMTPError
	err := give(c, "a@client.test", []string{"alice@here.test"}, strings.Repeat("Received: from a by b\r\n", 51)+text)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 554, refusal.Code)
	require.Empty(t, w.inbox(t, "alice@here.test"))
}

func TestLMTPThroughTheServer(t *testing.T) {
	w := newWorld(t, nil)
	w.store.set("alice@here.test", context.DeadlineExceeded)
	nc, err := net.Dial("tcp", w.listen(t, smtp.LMTP))
	require.NoError(t, err)
	c := gosmtp.NewClientLMTP(nc)
	defer c.Close()
	require.NoError(t, c.Mail("a@client.test", nil))
	require.NoError(t, c.Rcpt("alice@here.test", nil))
	require.NoError(t, c.Rcpt("bob@here.test", nil))
	d, err := c.Data()
	require.NoError(t, err)
	_, err = d.Write([]byte(text))
	require.NoError(t, err)
	_, err = d.CloseWithLMTPResponse()
	var refusals gosmtp.LMTPDataError
	require.ErrorAs(t, err, &refusals)
	require.Len(t, refusals, 1)
	require.Equal(t, 451, refusals["alice@here.test"].Code)
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	require.Empty(t, w.queued(t), "the client keeps alice")
}
