package smtp

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
)

func TestReceivedFieldAsRFC5321WantsIt(t *testing.T) {
	at := time.Date(2026, time.March, 7, 9, 5, 1, 0, time.FixedZone("", -5*3600))
	c := &conversation{policy: &policy{hostname: "mx.example.test"}, facts: Session{
		Remote: netip.MustParseAddrPort("192.0.2.7:1234"), Helo: "client.example.test", ESMTP: true,
		TLS: &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256},
	}}
	m := &Message{ID: "id12345678", Received: at}
	m.Envelope.Recipients = []mail.Recipient{{To: mail.MustParseAddress("jones@example.test")}}
	require.Equal(t, "Received: from client.example.test ([192.0.2.7])\r\n"+
		"\tby mx.example.test with ESMTPS id id12345678\r\n"+
		"\t(TLS 1.3 TLS_AES_128_GCM_SHA256)\r\n"+
		"\tfor <jones@example.test>;\r\n"+
		"\tSat, 07 Mar 2026 09:05:01 -0500\r\n", string(c.trace(m)))

	m.Envelope.Recipients = append(m.Envelope.Recipients, m.Envelope.Recipients...)
	c.facts.TLS, c.facts.Remote = nil, netip.MustParseAddrPort("[2001:db8::1]:1234")
	require.Equal(t, "Received: from client.example.test ([IPv6:2001:db8::1])\r\n"+
		"\tby mx.example.test with ESMTP id id12345678;\r\n"+
		"\tSat, 07 Mar 2026 09:05:01 -0500\r\n", string(c.trace(m)), "several recipients do not learn about each other")
}

func TestReceivedNamesTheProtocol(t *testing.T) {
	secure := &tls.ConnectionState{}
	for want, f := range map[string]Session{
		"SMTP":    {},
		"ESMTP":   {ESMTP: true},
		"ESMTPS":  {ESMTP: true, TLS: secure},
		"ESMTPA":  {ESMTP: true, User: "u"},
		"ESMTPSA": {ESMTP: true, TLS: secure, User: "u"},
		"LMTP":    {Protocol: LMTP, ESMTP: true},
		"LMTPSA":  {Protocol: LMTP, ESMTP: true, TLS: secure, User: "u"},
	} {
		require.Equal(t, want, with(&f, false))
	}
	require.Equal(t, "UTF8SMTPSA", with(&Session{ESMTP: true, TLS: secure, User: "u"}, true))
	require.Equal(t, "UTF8LMTP", with(&Session{Protocol: LMTP, ESMTP: true}, true))
	require.Equal(t, "SMTP", with(&Session{}, true))
}

func TestReceivedIsBuiltFromTheSession(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+"C: .\nS~ 250 .*\n"+goesOn)
	m := b.only(t)
	require.Regexp(t, `^Received: from c \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.test with SMTP id `+m.ID+`\r\n\tfor <b@d\.test>;\r\n\t[^\r\n]+\r\n$`, string(m.Trace))
}

func TestS28NamesOfClientsAreWordsInTraceFields(t *testing.T) {
	for _, helo := range []string{
		`a%s"b'`, "(comment", "<a@b>", "a;b", `a\`, "x)by.evil.test", "ü.test", strings.Repeat("x", 255), "=?utf-8?q?x?=", "[127.0.0.1]", "under_score",
	} {
		b := &box{}
		say(t, newServer(b), "S~ 220 .*\nC: HELO "+helo+"\nS~ 250 .*\n"+envelope+"C: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
		m := b.only(t)
		require.Equal(t, helo, m.facts.Helo)
		require.Regexp(t, `^Received: from [-A-Za-z0-9._:\[\]?]+ \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.test with `, string(m.Trace))
	}
}

func TestS28NamesWithControlsAreRefused(t *testing.T) {
	text := "S~ 220 .*\n"
	for _, helo := range []string{"a\tb", "a\x1b[2Jb", "a\x00", "a\x7fb", "a b", strings.Repeat("x", 256), "a\u202eb", "a\u2028b"} {
		text += raw("HELO "+helo+"\r\n") + "S~ 50[01] .*\n"
	}
	say(t, newServer(&box{}), text+goesOn)
}

// journal collects what is logged.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func TestS10S28NothingRawIsLogged(t *testing.T) {
	j := &journal{}
	s := newServer(&box{})
	s.Logger = slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.Limits.Errors = 1000
	say(t, s, toMail+raw("\x1b]0;x\a\r\n")+"S~ 500 .*\n"+raw("MAIL FROM:<\xff\xfe@d>\r\n")+"S~ 501 .*\n"+
		"C: MAIL FROM:<a\u202e@d.test\nS~ 501 .*\n"+
		"C: RCPT TO:<\"a\\\" msg=forged\"@d.test>\nS~ 503 .*\n"+
		"C: AUTH PLAIN AABzZWNyZXQ=\nS~ 535 .*\nC: AUTH PLAIN secret secret\nS~ 501 .*\n"+
		raw("AUTH PLAIN secret\x01\r\n")+"S~ 500 .*\n"+goesOn)
	text := j.text()
	require.Contains(t, text, "MAIL")
	for _, r := range text {
		require.True(t, r == '\n' || r >= ' ' && r <= '~', "%q in the log", r)
	}
	require.NotContains(t, text, "secret")
	require.NotContains(t, text, "c2Vjcm")
	require.NotContains(t, text, "AABz")
}

// The form of this line is a promise to tools such as fail2ban.
func TestFailedLoginIsLoggedInAFixedForm(t *testing.T) {
	j := &journal{}
	s := newServer(&box{})
	s.Logger = slog.New(slog.NewTextHandler(j, nil))
	say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS~ 535 .*\n"+goesOn)
	require.Regexp(t, `level=WARN msg="authentication failed" service=smtp remote=127\.0\.0\.1 user=alice session=[0-9a-z]{10} reason=`, j.text())
}

func TestAcceptedMessageIsLoggedWithItsIDs(t *testing.T) {
	j := &journal{}
	b := &box{}
	s := newServer(b)
	s.Logger = slog.New(slog.NewTextHandler(j, nil))
	say(t, s, toData+"C: x\nC: .\nS~ 250 .*\n"+goesOn)
	m := b.only(t)
	require.Contains(t, j.text(), `msg="message accepted" session=`+m.facts.ID+" id="+m.ID+` service=smtp remote=127.0.0.1 user="" from=a@d.test recipients=1 size=3`)
}
