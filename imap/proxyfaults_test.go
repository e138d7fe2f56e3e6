package imap

import (
	"crypto/tls"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

const unavailable = "NO [UNAVAILABLE] Temporary failure, please try again later"

// brokenBackends are what a back end may do before a login is through, beside
// what those of all protocols may do (TestFaultMatrix in package proxy). After
// each the client hears that nothing can be done now, and may try again.
var brokenBackends = map[string]func(p *peerOfProxy){
	"has somebody logged in":   func(p *peerOfProxy) { p.say("* PREAUTH hello"); p.hear() },
	"greets in 8 bits":         func(p *peerOfProxy) { p.say("\xff\xfe\x80"); p.hear() },
	"greets without CR":        func(p *peerOfProxy) { _, _ = io.WriteString(p, "* OK ready\n"); p.hear() },
	"has no capabilities":      func(p *peerOfProxy) { p.say("* OK x"); p.hear(); p.say("p1 OK"); p.hear() },
	"refuses CAPABILITY":       func(p *peerOfProxy) { p.say("* OK x"); p.hear(); p.say("p1 BAD"); p.hear() },
	"no way to log in":         func(p *peerOfProxy) { p.say("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x"); p.hear() },
	"says BYE to LOGIN":        atLogin(func(p *peerOfProxy) { p.say("* BYE stopping"); p.hear() }),
	"asks without need":        atLogin(func(p *peerOfProxy) { p.say("+ more"); p.say("p1 OK"); p.hear() }),
	"answers somebody else":    atLogin(func(p *peerOfProxy) { p.say("a1 OK [CAPABILITY X] welcome"); p.hear() }),
	"X06 LF in its answer":     atLogin(func(p *peerOfProxy) { _, _ = io.WriteString(p, "p1 OK x\na OK y\r\n"); p.hear() }),
	"a literal without an end": atLogin(func(p *peerOfProxy) { p.say("* LIST {99999999999}"); p.hear() }),
	"a literal that is cut":    atLogin(func(p *peerOfProxy) { p.say("* LIST {20}\r\np1 OK x") }),
}

// atLogin is a back end that does something when it is asked to log in.
func atLogin(then func(p *peerOfProxy)) func(p *peerOfProxy) {
	return func(p *peerOfProxy) {
		p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready")
		if p.hear() != "" {
			then(p)
		}
	}
}

func TestX05ABrokenBackEndIsUnavailableAndNeverAWrongPassword(t *testing.T) {
	for name, script := range brokenBackends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBackend(t, script)
			f := withBackend(frontTo(b.route), proxy.Backend{Connect: 300 * time.Millisecond})
			c := dial(t, newProxy(t, f, nil))
			require.Empty(t, c.fails("LOGIN alice secret", unavailable))
			c.fails("AUTHENTICATE PLAIN "+plainResponse("", "alice", "secret"), unavailable)
			require.Equal(t, 2, b.connections())
		})
	}
}

// TestX06AnAnswerToALoginIsOneLine has a back end say what must not reach the
// client as it is.
func TestX06AnAnswerToALoginIsOneLine(t *testing.T) {
	for answer, want := range map[string]string{
		"p1 OK a\rb\x00c\xffd":               "a OK a?b?c?d",
		"p1 NO [ALERT] x\ra OK y":            "a NO [AUTHENTICATIONFAILED] Authentication failed",
		"* LIST {9}\r\np1 OK x\r\n\r\np1 NO": "a NO [AUTHENTICATIONFAILED] Authentication failed",
		"* OK ends like {5}\r\np1 NO x":      "a NO [AUTHENTICATIONFAILED] Authentication failed",
	} {
		b := startBackend(t, atLogin(func(p *peerOfProxy) {
			p.say(answer)
			for p.hear() != "" {
				p.say("* CAPABILITY X\r\np2 OK")
			}
		}))
		c := dial(t, newProxy(t, frontTo(b.route), nil))
		c.send("a LOGIN alice secret\r\n")
		line := c.line()
		if line == "* CAPABILITY X" {
			line = c.line()
		}
		require.Equal(t, want, line)
	}
}

// secured is a back end with STARTTLS.
func secured(p *peerOfProxy) {
	p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN] ready")
	tag, _, _ := strings.Cut(p.hear(), " ")
	p.say(tag + " OK begin")
	layer := tls.Server(p.Conn, testcert.Server())
	if layer.Handshake() != nil {
		return
	}
	inner := *p
	inner.Conn = layer
	inner.in.Reset(layer)
	for line := inner.hear(); line != ""; line = inner.hear() {
		tag, rest, _ := strings.Cut(line, " ")
		if rest == "CAPABILITY" {
			inner.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n" + tag + " OK")
			continue
		}
		inner.say(tag + " OK [CAPABILITY IMAP4rev1] welcome")
	}
}

func TestX08ThePasswordIsShownOverTheTLSThatIsAskedFor(t *testing.T) {
	b := startBackend(t, secured)
	route := b.route
	route.TLS = mapping.TLSStart
	dial(t, newProxy(t, frontTo(route), nil)).fails("LOGIN alice secret", "OK")
	require.Equal(t, "p1 STARTTLS", b.lines()[0])
}

// TestP51NoPasswordOrTokenIsLogged looks at all that is logged of logins that
// succeed and fail.
func TestP51NoPasswordOrTokenIsLogged(t *testing.T) {
	log := &lockedBuffer{}
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", scripted))
	addr := newProxy(t, frontTo(b.route), func(p *Proxy) {
		p.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		p.SASL.Plain = []string{"PLAIN", "XOAUTH2"}
	})
	c := dial(t, addr)
	c.fails("LOGIN alice secretword", "NO")
	c.fails("LOGIN ill secretword", "NO")
	c.fails("LOGIN bad secretword", "NO")
	c.fails("AUTHENTICATE XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBzZWNyZXR3b3JkAQE=", "NO")
	c.ok("LOGIN alice secret")
	c.conn.Close()
	require.Contains(t, log.String(), `msg="authentication failed" service=imap remote=127.0.0.1 user=alice session=`)
	require.Contains(t, log.String(), `msg="login not possible" service=imap remote=127.0.0.1 user=ill session=`)
	require.Contains(t, log.String(), `msg=authenticated service=imap remote=127.0.0.1 user=alice session=`)
	require.NotContains(t, log.String(), "secret")
	require.NotContains(t, log.String(), "c2VjcmV0")
}
