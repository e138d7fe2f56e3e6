package processing

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// TestPostfixTakesOurMailAndBringsItBack sends through a real Postfix, which
// hands what it accepts to an LMTP server of ours.
func TestPostfixTakesOurMailAndBringsItBack(t *testing.T) {
	realtest.Require(t, "postfix")
	realtest.RequireRoot(t)
	got := make(chan string, 10)
	back := &smtp.Server{
		Protocol: smtp.LMTP, Logger: slog.New(slog.DiscardHandler),
		Hooks: []smtp.Hooks{{Rcpt: func(context.Context, *smtp.Session, *mail.Envelope, *mail.Recipient) error { return nil }}},
		Handler: smtp.HandlerFunc(func(_ context.Context, m *smtp.Message) error {
			content, err := io.ReadAll(message.NewReader(m.Body))
			for _, r := range m.Envelope.Recipients {
				got <- r.To.String() + "\n" + string(content)
			}
			return err
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = back.Serve(context.Background(), l) }()
	defer func() { back.Close(); <-done }()

	p, err := realtest.StartPostfix(context.Background(), realtest.PostfixRoutes{"far.test": "lmtp:inet:[127.0.0.1]:" + fmt.Sprint(l.Addr().(*net.TCPAddr).Port)})
	require.NoError(t, err)
	defer p.Stop()
	w := newWorld(t, func(o *Options) {
		o.Router = Rules{{Route: sender.Route{Hosts: []sender.Host{{Name: "127.0.0.1", Port: p.SMTP}}}}}
		o.Sender = sender.New(sender.Options{Hostname: o.Hostname, Logger: slog.New(slog.DiscardHandler)})
	})
	content := "Subject: dots and umlauts\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nFrom: a@here.test\r\nMessage-ID: <1@x>\r\n\r\n.\r\n..\r\nhällo\r\n.end\r\n"
	m := mailTo(t, "alice@here.test", "x@far.test", "y@far.test")
	m.Body, m.Index = message.FromBytes([]byte(content)), nil
	w.handle(t, m)
	w.run(func() {
		for range 2 {
			select {
			case text := <-got:
				require.True(t, strings.HasSuffix(text, trace+content), text)
			case <-time.After(20 * time.Second):
				require.Fail(t, "nothing came back")
			}
		}
		require.Eventually(t, func() bool { return len(w.queued(t)) == 0 }, 10*time.Second, 5*time.Millisecond)
	})
}
