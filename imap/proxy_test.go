package imap

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// scripted are the answers of a back end to users who are not alice.
var scripted = map[string]string{
	"plain": "NO go away", "expired": "NO [EXPIRED] too old", "limit": "NO [LIMIT] too often", "ill": "NO [UNAVAILABLE] later",
	"bug": "NO [SERVERBUG] oops", "bad": "BAD what?",
}

// TestProxyDialogues plays each dialogue against a proxy of its own. Where the
// name of the dialogue begins with "tls", and with "injected", nobody may send
// a password in clear text (P12).
func TestProxyDialogues(t *testing.T) {
	paths, err := filepath.Glob("testdata/proxy/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", scripted))
			addr := newProxy(t, frontTo(b.route), func(p *Proxy) {
				p.Limits.AuthFailures = 100
				if strings.HasSuffix(path, "login.txt") {
					p.Hostname, p.ID = "front.example.test", map[string]string{"name": "Front"}
				} else {
					p.PlainAuth = nil
				}
			})
			dialogue.Run(t, dialTest(t, addr), path)
		})
	}
}

func TestP11CapabilitiesOfTheBackEndFollowALogin(t *testing.T) {
	for name, how := range map[string]struct{ answer, want string }{
		"in the code":                {"%s OK [CAPABILITY IMAP4rev1 X] hello", "a OK [CAPABILITY IMAP4rev1 X] hello\r\n"},
		"untagged":                   {"* CAPABILITY IMAP4rev1 Y\r\n%s OK hello", "* CAPABILITY IMAP4rev1 Y\r\na OK hello\r\n"},
		"asked for":                  {"%s OK hello", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK hello\r\n"},
		"UNAUTHENTICATE in the code": {"%s OK [CAPABILITY IMAP4rev1 UNAUTHENTICATE X] hello", "a OK [CAPABILITY IMAP4rev1 X] hello\r\n"},
		"UNAUTHENTICATE untagged":    {"* CAPABILITY IMAP4rev1 Y unauthenticate\r\n%s OK hello", "* CAPABILITY IMAP4rev1 Y\r\na OK hello\r\n"},
		"another code":               {"%s OK [ALERT] hello", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK [ALERT] hello\r\n"},
		"a referral":                 {"%s OK [REFERRAL imap://inside.example/] hello", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK hello\r\n"},
		"without text":               {"%s OK", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK LOGIN completed\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, func(p *peerOfProxy) {
				p.say("* OK ready")
				for line := p.hear(); line != ""; line = p.hear() {
					tag, rest, _ := strings.Cut(line, " ")
					if rest == "CAPABILITY" {
						p.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + " OK done")
						continue
					}
					p.say("+ ")
					p.hear()
					p.say(strings.Replace(how.answer, "%s", tag, 1))
				}
			})
			c := dial(t, newProxy(t, frontTo(b.route), nil))
			c.send("a LOGIN alice secret\r\n")
			got := make([]byte, len(how.want))
			_, err := io.ReadFull(c.in, got)
			require.NoError(t, err)
			require.Equal(t, how.want, string(got))
		})
	}
}

func TestP13WhatIsPipelinedBehindALoginReachesTheBackEnd(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN SASL-IR", nil))
	addr := newProxy(t, frontTo(b.route), nil)
	behind := "b APPEND x {5+}\r\n\r\nx L\r\nc APPEND y ~{3}\r\n\x00\xff\r\r\nd NOOP\r\n" + strings.Repeat("e NOOP\r\n", 10_000)
	for _, login := range []string{"a LOGIN alice {6+}\r\nsecret\r\n", "a AUTHENTICATE PLAIN " + plainResponse("", "alice", "secret") + "\r\n"} {
		c := dial(t, addr)
		go func() { _, _ = io.WriteString(c.conn, login+behind) }()
		require.Equal(t, "a OK [CAPABILITY IMAP4rev1 XBACKEND] welcome", c.line())
		got := make([]byte, len(behind))
		_, err := io.ReadFull(c.in, got)
		require.NoError(t, err)
		require.Equal(t, behind, string(got))
	}
}

func TestP15AfterAWrongPasswordTheClientMayTryAgain(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN", nil))
	c := dial(t, newProxy(t, frontTo(b.route), nil))
	for i := range 3 {
		c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] Authentication failed")
		require.Equal(t, i+1, b.connections())
	}
	closed := func() (n int) {
		for _, line := range b.lines() {
			if line == "" {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return closed() == 3 }, 20*time.Second, time.Millisecond)
	c.ok("LOGIN alice secret")
	require.Equal(t, 4, b.connections())
}

func TestARefusalIsShownInTheBackEndsWordsWhereThatIsAllowed(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN", scripted))
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) { p.Pass = PassRefusals; p.Limits.AuthFailures = 2 }))
	c.fails("LOGIN ill x", "NO [UNAVAILABLE] later")
	c.fails("LOGIN expired x", "NO [EXPIRED] too old")
	c.send("a LOGIN plain x\r\n")
	require.Equal(t, "a NO go away", c.line())
	require.Equal(t, "* BYE Too many failed logins", c.line())
}

func TestMapsDecideWhoIsUnknownAndWhoMustWait(t *testing.T) {
	for err, want := range map[error]string{
		mapping.ErrNotMapped:   "NO [AUTHENTICATIONFAILED] Authentication failed",
		mapping.ErrUnavailable: "NO [UNAVAILABLE] Temporary failure, please try again later",
		io.ErrUnexpectedEOF:    "NO [UNAVAILABLE] Temporary failure, please try again later",
	} {
		f := &proxy.Front{Mapper: mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) { return mapping.Route{}, err })}
		dial(t, newProxy(t, f, nil)).fails("LOGIN alice secret", want)
	}
}

func TestX04ALoopIsRefusedInOneHop(t *testing.T) {
	f := frontTo(routeTo("127.0.0.1:1"))
	f.Own = func(string, int) bool { return true }
	dial(t, newProxy(t, f, nil)).fails("LOGIN alice secret", "NO [UNAVAILABLE]")
}

func TestP20OtherProtocolsAreToldOffAndLoggedOnce(t *testing.T) {
	for name, hello := range map[string]string{"TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP": "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		log := &lockedBuffer{}
		addr := newProxy(t, frontTo(routeTo("127.0.0.1:1")), func(p *Proxy) { p.Logger = slog.New(slog.NewTextHandler(log, nil)) })
		c := dial(t, addr)
		c.send(hello)
		c.expectClosed()
		require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		require.Contains(t, log.String(), `msg="client speaks another protocol"`)
		require.Contains(t, log.String(), "protocol="+name)
	}
}

// TestP34AResetOfOneSideEndsTheOther resets each leg in turn.
func TestP34AResetOfOneSideEndsTheOther(t *testing.T) {
	ended, reset := make(chan struct{}, 1), make(chan struct{})
	b := startBackend(t, func(p *peerOfProxy) {
		p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready")
		p.say(strings.SplitN(p.hear(), " ", 2)[0] + " OK [CAPABILITY IMAP4rev1] welcome")
		select {
		case <-reset:
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
		default:
			_, _ = p.in.ReadByte()
			ended <- struct{}{}
		}
	})
	addr := newProxy(t, frontTo(b.route), nil)
	c := login(t, addr)
	require.NoError(t, c.conn.(*net.TCPConn).SetLinger(0))
	c.conn.Close()
	<-ended
	close(reset)
	c = login(t, addr)
	_, err := c.in.ReadByte()
	require.Error(t, err)
}
