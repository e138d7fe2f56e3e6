package smtp

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// send sends one message to two recipients, with every option that the
// client knows.
func send(t *testing.T, c *smtp.Client, text string) io.WriteCloser {
	t.Helper()
	require.NoError(t, c.Mail("björn@example.test", &smtp.MailOptions{
		Size: int64(len(text)), UTF8: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "id+1 of=2",
	}))
	require.NoError(t, c.Rcpt("one@example.test", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyDelayed},
		OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "früher+x@old.test",
	}))
	require.NoError(t, c.Rcpt("two@example.test", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifyNever},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "two+x=y@old.test",
	}))
	w, err := c.Data()
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	return w
}

func requireEnvelope(t *testing.T, m kept) {
	t.Helper()
	e := m.Envelope
	require.Equal(t, "björn@example.test", e.From.String())
	require.True(t, e.Options.UTF8)
	require.Equal(t, smtp.Body8BitMIME, e.Options.Body)
	require.Equal(t, smtp.DSNReturnHeaders, e.Options.Return)
	require.Equal(t, "id+1 of=2", e.Options.EnvelopeID)
	require.Equal(t, smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyDelayed},
		OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "früher+x@old.test",
	}, e.Recipients[0].Options)
	require.Equal(t, smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifyNever},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "two+x=y@old.test",
	}, e.Recipients[1].Options)
}

func TestGoSMTPClientSubmits(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Protocol, s.PlainAuth = Submission, nil
	c, err := smtp.DialStartTLS(start(t, s), testcert.Client())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Auth(sasl.NewPlainClient("", "alice", "secret")))
	text := "Subject: grüße\r\n\r\n.dot\r\n" + strings.Repeat("text\r\n", 50_000)
	require.NoError(t, send(t, c, text).Close())
	require.NoError(t, c.Quit())
	m := b.only(t)
	requireEnvelope(t, m)
	require.Equal(t, text, m.text)
	require.Equal(t, "alice@example.test", m.facts.User)
	require.NotNil(t, m.facts.TLS)
	require.Contains(t, string(m.Trace), " with UTF8SMTPSA id ")
	require.Equal(t, "grüße", m.Index.Envelope.Subject)
}

func TestGoSMTPClientOverImplicitTLSWithLOGIN(t *testing.T) {
	b := &box{}
	s := newServer(b)
	plain := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), tls.NewListener(plain, testcert.Server())) }()
	nc, err := tls.Dial("tcp", plain.Addr().String(), testcert.Client())
	require.NoError(t, err)
	c := smtp.NewClient(nc)
	ok, _ := c.Extension("STARTTLS")
	require.False(t, ok)
	require.NoError(t, c.Auth(sasl.NewLoginClient("alice", "secret")))
	require.NoError(t, c.SendMail("a@d.test", []string{"b@d.test"}, strings.NewReader("x\r\n")))
	require.NoError(t, c.Quit())
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, ErrServerClosed)
	require.Contains(t, string(b.only(t).Trace), " with ESMTPSA id ")
}

func TestGoSMTPClientSpeaksLMTP(t *testing.T) {
	b := &box{answer: func(*Message) error { return RecipientErrors{nil, errNoRelay} }}
	nc, err := net.Dial("tcp", start(t, newLMTP(b)))
	require.NoError(t, err)
	c := smtp.NewClientLMTP(nc)
	defer c.Close()
	w := send(t, c, "Subject: x\r\n\r\nx\r\n").(*smtp.DataCommand)
	answers, err := w.CloseWithLMTPResponse()
	require.NotNil(t, answers["one@example.test"])
	failures, ok := err.(smtp.LMTPDataError)
	require.True(t, ok, "%v", err)
	require.Equal(t, 550, failures["two@example.test"].Code)
	requireEnvelope(t, b.only(t))
}
