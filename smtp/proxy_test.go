package smtp

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// newProxy proxies submission for who is mapped.
func newProxy(m mapping.Mapper) *Proxy {
	p := &Proxy{
		Front: &proxy.Front{
			Mapper: m, Logger: quiet,
			Backends: func(mapping.Route) proxy.Backend {
				return proxy.Backend{TLSConfig: testcert.Client()}
			},
		},
		Hostname: "front.example.test", TLS: testcert.Server(), PlainAuth: netip.Addr.IsLoopback, Logger: quiet,
	}
	p.Limits.Delay = -1
	return p
}

func startProxy(t testing.TB, p *Proxy) string {
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
	return l.Addr().String()
}

func sayToProxy(t *testing.T, p *Proxy, text string) {
	t.Helper()
	dialogue.Play(t, dial(t, startProxy(t, p)), t.Name(), text)
}

const proxyHello = `S: 220 front.example.test ESMTP Posthouse
C: EHLO client.example
S: 250-front.example.test
S: 250-STARTTLS
S: 250-AUTH PLAIN LOGIN
S: 250-PIPELINING
S: 250-ENHANCEDSTATUSCODES
S: 250 8BITMIME
`

func plainly(words ...string) string {
	return "C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(strings.Join(words, "\x00"))) + "\n"
}

func TestP49TheSessionAtTheBackEndIsTheUsers(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Protocol = Submission
	s.Hooks = append(s.Hooks, Hooks{Mail: func(_ context.Context, s *Session, e *mail.Envelope) error {
		if e.From.String() != s.User {
			return mail.Errorf(553, [3]int{5, 7, 1}, "Not your address")
		}
		return nil
	}})
	way := to(t, start(t, s))
	way.TLS, way.User = mapping.TLSStart, "alice"
	sayToProxy(t, newProxy(routes{"a@d.test": way}), proxyHello+`C: MAIL FROM:<alice@example.test>
S~ 530 5.7.0 .*
`+plainly("", "a@d.test", "secret")+`S: 235 2.7.0 Authentication succeeded
C: MAIL FROM:<mallory@example.test>
S: 553 5.7.1 Not your address
C: MAIL FROM:<alice@example.test>
S~ 250 .*
C: RCPT TO:<x@y.test>
S~ 250 .*
`+content+`S~ 250 .*
C: QUIT
S~ 221 .*
EOF
`)
	got := b.only(t)
	require.Equal(t, "alice@example.test", got.facts.User)
	require.Equal(t, "client.example", got.facts.Helo)
	require.True(t, got.facts.Secure())
}

func TestP15AWrongPasswordMayBeTriedAgain(t *testing.T) {
	_, way := backend(t, Submission, nil)
	for name, script := range map[string]string{
		"PLAIN": plainly("", "alice", "wrong") + "S: 535 5.7.8 Authentication failed\n" + plainly("", "nobody", "secret") + "S: 535 5.7.8 Authentication failed\n" + plainly("", "alice", "secret"),
		"LOGIN": "C: AUTH LOGIN YWxpY2U=\nS~ 334 .*\nC: d3Jvbmc=\nS: 535 5.7.8 Authentication failed\nC: AUTH LOGIN YWxpY2U=\nS~ 334 .*\nC: c2VjcmV0\n",
	} {
		t.Run(name, func(t *testing.T) {
			sayToProxy(t, newProxy(routes{"alice": way}), proxyHello+script+"S~ 235 .*\nC: NOOP\nS~ 250 .*\n")
		})
	}
}

func TestP16WithAuthAWrongPasswordReachesNoBackEnd(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, heard: h})
	p := newProxy(mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) { return way, nil }))
	p.Auth = alice
	sayToProxy(t, p, proxyHello+plainly("", "alice", "wrong")+"S~ 535 .*\n"+plainly("", "broken", "x")+"S~ 454 4.7.0 .*\n")
	require.Empty(t, h.all())
}

func TestP14MasterCredentialsNeedACheckHere(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN LOGIN"}, heard: h})
	mastered := func() *Proxy {
		p := newProxy(routes{"alice": way, "alice@example.test": way})
		p.Front.Backends = func(mapping.Route) proxy.Backend {
			return proxy.Backend{MasterUser: "master", MasterPassword: "key"}
		}
		return p
	}
	sayToProxy(t, mastered(), proxyHello+plainly("", "alice", "secret")+"S~ 454 4.7.0 .*\n")
	require.Empty(t, h.all())

	p := mastered()
	p.Auth = alice
	sayToProxy(t, p, proxyHello+plainly("", "alice", "secret")+"S~ 235 .*\n")
	require.Equal(t, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("alice@example.test\x00master\x00key")), h.all()[1])
}

func TestP14TokensAreShownAgain(t *testing.T) {
	for mechanism, response := range map[string]string{
		"OAUTHBEARER": "n,a=alice,\x01auth=Bearer abc\x01\x01",
		"XOAUTH2":     "user=alice\x01auth=Bearer abc\x01\x01",
	} {
		for answer, want := range map[string]string{"235 in": "S~ 235 .*\n", "334 e30=\n535 5.7.8 no": ""} {
			h := &heard{}
			s := script{greeting: "220 hi", extensions: []string{"AUTH " + mechanism}, heard: h, answers: map[string]string{"AUTH": answer, "AQ==": "250 late", "": "250 late"}}
			p := newProxy(routes{"alice": scripted(t, s)})
			p.SASL.Plain = []string{mechanism}
			if want == "" { // the client is told in a challenge, which it answers
				want = "S~ 334 .*\nC: AQ==\nS~ 535 .*\n"
			}
			sayToProxy(t, p, strings.Replace(proxyHello, "PLAIN LOGIN", mechanism, 1)+
				"C: AUTH "+mechanism+" "+base64.StdEncoding.EncodeToString([]byte(response))+"\n"+want)
			require.Equal(t, "AUTH "+mechanism+" "+base64.StdEncoding.EncodeToString([]byte(response)), h.all()[1])
		}
	}
}

func TestP12NoPasswordBeforeTLS(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, heard: h})
	p := newProxy(routes{"alice": way})
	p.PlainAuth, p.RequireTLS = nil, true
	sayToProxy(t, p, strings.Replace(proxyHello, "S: 250-AUTH PLAIN LOGIN\n", "", 1)+plainly("", "alice", "secret")+`S~ 530 .*
C: STARTTLS
S~ 220 .*
TLS
`+plainly("", "alice", "secret")+`S~ 503 5.5.1 Say EHLO first
C: EHLO c
S~ 250-.*
S: 250-AUTH PLAIN LOGIN
S~ 250-.*
S~ 250-.*
S~ 250 .*
`+plainly("", "alice", "secret")+"S~ 235 .*\n")
	require.Len(t, h.all(), 2)
}

func TestP13WhatIsPipelinedBehindTheLoginReachesTheBackEnd(t *testing.T) {
	b, way := backend(t, Submission, nil)
	sayToProxy(t, newProxy(routes{"alice": way}), proxyHello+plainly("", "alice", "secret")+`C: MAIL FROM:<alice@example.test>
C: RCPT TO:<x@y.test>
C: RCPT TO:<bad
S~ 235 .*
S~ 250 2.1.0 .*
S~ 250 2.1.5 .*
S~ 501 .*
`+content+"S~ 250 .*\n")
	require.Equal(t, []string{"x@y.test"}, recipientsOf(b.only(t)))
}

func TestP11OnlyWhatBackEndsHaveIsAnnounced(t *testing.T) {
	p := newProxy(routes{})
	p.Extensions = []string{"SIZE 1000", "DSN\r\n250 X"}
	sayToProxy(t, p, "S~ 220 .*\nC: EHLO c\nS~ 250-.*\nS: 250-STARTTLS\nS: 250-AUTH PLAIN LOGIN\nS: 250-SIZE 1000\nS: 250 DSN??250 X\n")
}

func TestX05P37ASubmissionThatFailsBehindIsNeverAWrongPassword(t *testing.T) {
	all := map[string]script{
		"offers no AUTH":       {greeting: "220 hi"},
		"offers another":       {greeting: "220 hi", extensions: []string{"AUTH GSSAPI"}},
		"busy at AUTH":         {greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "421 4.3.2 no"}},
		"wants TLS":            {greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "538 no"}},
		"asks on":              {greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "334 ", "*": "501 no"}},
		"lets in by a mistake": {greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "250 ok"}},
	}
	for name, s := range bad {
		all[name] = s
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(routes{"alice": scripted(t, s), "down": {}})
			p.Front.Backends = func(mapping.Route) proxy.Backend {
				return proxy.Backend{Connect: time.Second, Tell: proxy.TellXCLIENT}
			}
			sayToProxy(t, p, proxyHello+plainly("", "alice", "secret")+"S: 454 4.7.0 Authentication is not available now, please try again later\n"+
				plainly("", "down", "secret")+"S~ 454 4.7.0 .*\n")
		})
	}
}

func TestX04ASubmissionInACircleIsNotAWrongPassword(t *testing.T) {
	p := newProxy(routes{"alice": {Host: "127.0.0.1", Port: 1, TLS: mapping.TLSNone}})
	p.Front.Own = func(string, int) bool { return true }
	sayToProxy(t, p, proxyHello+plainly("", "alice", "secret")+"S~ 454 4.7.0 .*\n")
}

func TestAProxyIsNotLoggedInToAsSomebodyElse(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN"}, heard: h})
	sayToProxy(t, newProxy(routes{"alice": way, "bob": way}), proxyHello+plainly("bob", "alice", "secret")+"S~ 535 .*\n")
	require.Empty(t, h.all())
}

func TestAProxySlowsGuessingDown(t *testing.T) {
	_, way := backend(t, Submission, nil)
	p := newProxy(routes{"alice": way})
	p.Throttle = auth.NewThrottle(nil, auth.ThrottleOptions{})
	p.Limits.AuthFailures = 2
	var closed atomic.Int32
	p.Hooks = []Hooks{{Close: func(s *Session) { closed.Add(int32(s.AuthFailures)) }}}
	address := startProxy(t, p)
	dialogue.Play(t, dial(t, address), t.Name(), proxyHello+plainly("", "alice", "a")+"S~ 535 .*\n"+plainly("", "alice", "b")+"S~ 535 .*\nS~ 421 .*\nEOF\n")
	require.NoError(t, p.Shutdown(context.Background()))
	require.EqualValues(t, 2, closed.Load())
}

// submitting returns a client that is logged in at a back end.
func submitting(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc := dial(t, address)
	r := newReader(nc)
	for _, line := range []string{"EHLO c", strings.TrimSpace(strings.TrimPrefix(plainly("", "alice", "secret"), "C: "))} {
		_, err := io.WriteString(nc, line+"\r\n")
		require.NoError(t, err)
	}
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "235") {
			return nc, r
		}
	}
}

func TestX16AProxyStopsInOrder(t *testing.T) {
	_, way := backend(t, Submission, nil)
	p := newProxy(routes{"alice": way})
	address := startProxy(t, p)
	waiting := dial(t, address)
	fresh := newReader(waiting)
	_, err := fresh.ReadString('\n')
	require.NoError(t, err)
	_, r := submitting(t, address)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, p.Shutdown(ctx))
	line, err := fresh.ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(line, "421 "), line)
	_, err = r.ReadString('\n')
	require.Error(t, err)
	require.Zero(t, p.Sessions())
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}
