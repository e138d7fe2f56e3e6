package processing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// part is a part of a report as a reader of it sees it.
type part struct{ kind, content string }

// parts parses a report back.
func parts(t testing.TB, content []byte) (gomessage.Header, []part) {
	e, err := gomessage.Read(bytes.NewReader(content))
	require.NoError(t, err)
	kind, params, err := e.Header.ContentType()
	require.NoError(t, err)
	require.Equal(t, "multipart/report", kind)
	require.Equal(t, "delivery-status", params["report-type"])
	var out []part
	mr := e.MultipartReader()
	for {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		kind, _, err := p.Header.ContentType()
		require.NoError(t, err)
		b, err := io.ReadAll(p.Body)
		require.NoError(t, err)
		out = append(out, part{kind, string(b)})
	}
	require.Len(t, out, 3)
	return e.Header, out
}

// groups parses the fields of a status part: of the message, then of each recipient.
func groups(t testing.TB, status string) (out []textproto.MIMEHeader) {
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(status + "\r\n")))
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) > 0 {
			out = append(out, h)
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
	}
}

func newReport(a action, fates ...fate) *report {
	for i := range fates {
		fates[i].action = a
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return &report{
		hostname: "mx.here.test", postmaster: mail.MustParseAddress("MAILER-DAEMON@mx.here.test"), now: at, id: "r1", fates: fates, maxReturn: 50 << 10,
		about: &letter{
			envelope: mail.Envelope{From: mail.MustParseAddress("alice@here.test")},
			trace:    []byte(trace), body: message.FromBytes([]byte(text)), received: at.Add(-time.Hour),
		},
	}
}

func failed(to string) fate {
	return fate{
		recipient: mail.Recipient{To: mail.MustParseAddress(to)}, host: "mx.far.test",
		reply: &mail.Reply{Code: 550, Enhanced: gosmtp.EnhancedCode{5, 1, 1}, Text: "no such user", Reason: errors.New("secret")},
	}
}

// TestFailureReportReadsAsWritten compares with testdata/failure.txt, but for
// the boundary.
func TestFailureReportReadsAsWritten(t *testing.T) {
	r := newReport(actionFailed, failed("x@far.test"), failed("y@far.test"))
	r.about.envelope.Options.EnvelopeID = "envelope-1"
	r.fates[1].recipient.Options = gosmtp.RcptOptions{OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "old@here.test"}
	content, err := r.compose()
	require.NoError(t, err)
	h, _ := parts(t, content)
	_, params, err := h.ContentType()
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/failure.txt")
	require.NoError(t, err)
	got := strings.ReplaceAll(string(content), params["boundary"], "BOUNDARY")
	require.Equal(t, string(want), strings.ReplaceAll(got, "\r\n", "\n"))
	require.NotContains(t, strings.ReplaceAll(got, "\r\n", ""), "\n", "lines end with CRLF")
	require.NotContains(t, got, "secret")
}

func TestReportFieldsPerAction(t *testing.T) {
	for a, c := range map[action]struct{ subject, status, kind string }{
		actionFailed:    {"Undelivered mail returned to sender", "5.1.1", "message/rfc822"},
		actionDelayed:   {"Delayed mail (still being retried)", "4.4.1", "text/rfc822-headers"},
		actionDelivered: {"Successful mail delivery report", "2.1.5", "text/rfc822-headers"},
		actionRelayed:   {"Successful mail delivery report", "2.0.0", "text/rfc822-headers"},
	} {
		f := failed("x@far.test")
		switch a {
		case actionDelayed:
			f.reply = &mail.Reply{Code: 451, Enhanced: gosmtp.EnhancedCode{4, 4, 1}, Text: "no answer"}
			f.until = time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)
		case actionDelivered:
			f.reply, f.host = delivered, ""
		case actionRelayed:
			f.reply = &mail.Reply{Code: 250, Text: "ok"}
		}
		content, err := newReport(a, f).compose()
		require.NoError(t, err)
		h, p := parts(t, content)
		require.Equal(t, c.subject, h.Get("Subject"))
		require.Equal(t, "auto-replied", h.Get("Auto-Submitted"))
		require.Equal(t, "<alice@here.test>", h.Get("To"))
		require.Equal(t, "Mail Delivery System <MAILER-DAEMON@mx.here.test>", h.Get("From"))
		require.Equal(t, "1.0", h.Get("MIME-Version"))
		require.Equal(t, "text/plain", p[0].kind)
		require.Equal(t, "message/delivery-status", p[1].kind)
		require.Equal(t, c.kind, p[2].kind)
		g := groups(t, p[1].content)
		require.Len(t, g, 2)
		require.Equal(t, "dns; mx.here.test", g[0].Get("Reporting-MTA"))
		require.Equal(t, string(a), g[1].Get("Action"))
		require.Equal(t, c.status, g[1].Get("Status"))
		require.Equal(t, "rfc822; x@far.test", g[1].Get("Final-Recipient"))
		require.Equal(t, a == actionFailed || a == actionDelayed, g[1].Get("Diagnostic-Code") != "")
		require.Equal(t, a == actionDelayed, g[1].Get("Will-Retry-Until") != "")
		require.Equal(t, a != actionDelivered, g[1].Get("Remote-MTA") != "")
	}
}

func TestReportReturnsWhatWasAskedForAndNoMoreThanFits(t *testing.T) {
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", 10_000)
	for name, c := range map[string]struct {
		body, ret  string
		kind, want string
	}{
		"whole":                 {text, "", "message/rfc822", trace + text},
		"asked for whole":       {text, "FULL", "message/rfc822", trace + text},
		"asked for the header":  {text, "HDRS", "text/rfc822-headers", trace + strings.TrimSuffix(text, "hello\r\n")},
		"too large":             {large, "FULL", "text/rfc822-headers", trace + "Subject: large\r\n\r\n"},
		"header without an end": {strings.Repeat("X: y\r\n", 20_000), "", "text/rfc822-headers", ""},
		"bare line feeds":       {"Subject: x\n\nhi\n", "HDRS", "text/rfc822-headers", trace + "Subject: x\r\n\r\n"},
		"empty message":         {"", "HDRS", "text/rfc822-headers", trace},
	} {
		r := newReport(actionFailed, failed("x@far.test"))
		r.about.body = message.FromBytes([]byte(c.body))
		r.about.envelope.Options.Return = gosmtp.DSNReturn(c.ret)
		content, err := r.compose()
		require.NoError(t, err, name)
		require.Less(t, len(content), 60<<10, name)
		_, p := parts(t, content)
		require.Equal(t, c.kind, p[2].kind, name)
		if c.want != "" {
			require.Equal(t, c.want, p[2].content, name)
		}
	}
}

func TestInternationalReport(t *testing.T) {
	f := failed("x@far.test")
	f.recipient.To = mail.MustParseAddress("jürgen@bücher.test")
	f.reply = &mail.Reply{Code: 550, Text: "unbekannt: jürgen"}
	r := newReport(actionFailed, f)
	r.about.envelope.Options.UTF8 = true
	content, err := r.compose()
	require.NoError(t, err)
	_, p := parts(t, content)
	require.Equal(t, "message/global-delivery-status", p[1].kind)
	require.Equal(t, "message/global", p[2].kind)
	g := groups(t, p[1].content)
	require.Equal(t, "utf-8; jürgen@bücher.test", g[1].Get("Final-Recipient"))

	r.about.envelope.Options.UTF8 = false
	content, err = r.compose()
	require.NoError(t, err)
	_, p = parts(t, content)
	require.Equal(t, "message/delivery-status", p[1].kind)
	require.NotContains(t, p[1].content, "ü", "a plain report is ASCII")
}

// FuzzReport writes reports about hostile words: they are one line each and
// add no field.
func FuzzReport(f *testing.F) {
	f.Add("env", "rfc822", "a@b", "550 text", "mx.test", "Subject: x\r\n\r\nhi")
	f.Add("a\r\nX: 1", "x\r\n\r\n", "\r\nAction: delivered", "a\r\n--b--", "h\nost", "\r\n\r\n")
	f.Add("\xff\x00", "", "ü\u2028", "\xf0\x28", "", "no header at all")
	f.Fuzz(func(t *testing.T, envid, kind, orcpt, said, host, original string) {
		fate := failed("x@far.test")
		fate.host, fate.reply = host, &mail.Reply{Code: 550, Text: said}
		fate.recipient.Options = gosmtp.RcptOptions{OriginalRecipientType: gosmtp.DSNAddressType(kind), OriginalRecipient: orcpt}
		r := newReport(actionFailed, fate)
		r.about.envelope.Options.EnvelopeID = envid
		r.about.body = message.FromBytes([]byte(original))
		r.maxReturn = 1 << 10
		status := string(r.status())
		require.Equal(t, 1, strings.Count(status, "\r\n\r\n"), "one group for the message, one for the recipient")
		require.LessOrEqual(t, strings.Count(status, "\n"), 12)
		require.Equal(t, strings.Count(status, "\n"), strings.Count(status, "\r\n"))
		require.True(t, isASCII(status))
		content, err := r.compose()
		require.NoError(t, err)
		require.Less(t, len(content), 8<<10+4*(len(envid)+len(kind)+len(orcpt)+len(said)+len(host)))
		_, p := parts(t, content)
		require.Equal(t, status, p[1].content)
	})
}
