package pop3

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// backendFunc listens on loopback until the test ends, and serves every
// connection by f, which need not close it.
func backendFunc(t testing.TB, f func(nc net.Conn, in *bufio.Reader)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				f(nc, bufio.NewReader(nc))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

const temporary = "-ERR [SYS/TEMP] Temporary failure, please try again later"

// TestX05WhatNoPOP3ServerSaysIsTemporary is beside what back ends of all
// protocols may do (TestFaultMatrix in package proxy).
func TestX05WhatNoPOP3ServerSaysIsTemporary(t *testing.T) {
	const capa = "+OK\r\nSASL PLAIN\r\n.\r\n"
	for name, says := range map[string][]string{ // one by one, after the banner for a line each; then it closes
		"refuses to greet by AUTH": {"-ERR [AUTH] go away\r\n"},
		"half of CAPA":             {"+OK\r\n", "+OK\r\nSASL PLAIN\r\n"},
		"CAPA without an end":      {"+OK\r\n", "+OK\r\n" + strings.Repeat("SASL PLAIN\r\n", maxBackendLines+1)},
		"offers nothing":           {"+OK\r\n", "+OK\r\n.\r\n"},
		"an answer that is none":   {"+OK\r\n", capa, "OK\r\n"},
		"asks on and on":           {"+OK\r\n", capa, "+ \r\n", "+ \r\n"},
		"agrees in the middle":     {"+OK\r\n", capa, "+ \r\n", "+OK\r\n"},
		"refuses XCLIENT":          {"+OK [XCLIENT]\r\n", capa, "-ERR no\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			port := backendFunc(t, func(nc net.Conn, in *bufio.Reader) {
				for i, text := range says {
					if i > 0 {
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
					}
					if _, err := io.WriteString(nc, text); err != nil {
						return
					}
				}
			})
			c := startProxy(t, port, nil).dial(t)
			require.Equal(t, temporary, c.login("alice", "pw"))
			require.Equal(t, temporary, c.ask("AUTH PLAIN AGFsaWNlAHB3"), "the session goes on")
			c.ok("QUIT")
		})
	}
}

func TestWhoIsNotMappedHasAWrongPassword(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), nil)
	require.Equal(t, "-ERR [AUTH] Authentication failed", p.dial(t).login("nobody", "pw"))
}

func TestP12STLSIsRequiredWhereABackendSaysSo(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t, "S: +OK\nC: STLS\nS: +OK\nTLS\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\nC: AUTH PLAIN AGFsaWNlAHB3\nS: +OK"),
		func(p *testProxy) { p.backend.TLS = mapping.TLSStart })
	require.Equal(t, "+OK Logged in", p.dial(t).login("alice", "pw"))
}

func TestP14RefusalsPassInTheBackEndsWordsBySwitch(t *testing.T) {
	says := func(answer string) string {
		return "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS pw\nS: " + answer + "\nEOF"
	}
	p := startProxy(t, dialogue.Backends(t, says("-ERR [AUTH] Expired; see https://example.test/"), says("-ERR [IN-USE] [AUTH] x"), says("-ERR your pw is old")),
		func(p *testProxy) { p.Pass = PassRefusals })
	c := p.dial(t)
	require.Equal(t, "-ERR [AUTH] Expired; see https://example.test/", c.login("alice", "pw"))
	require.Equal(t, "-ERR [IN-USE] AUTH] x", c.login("alice", "pw"))
	require.Equal(t, "-ERR [AUTH] Authentication failed", c.login("alice", "pw"), "not when they repeat the password")
}

func TestP16WrongPasswordOpensNoConnectionWhereTheProxyChecks(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), func(p *testProxy) { p.Auth = auth.AuthenticatorFunc(users) })
	c := p.dial(t)
	require.Equal(t, "-ERR [AUTH] Authentication failed", c.login("alice", "wrong"))
	require.Equal(t, temporary, c.login("broken", "pw"))
}

func TestP16MasterUserLogsInForWhomTheProxyHasChecked(t *testing.T) {
	const says = "S: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: USER\nS: .\nC: AUTH PLAIN YWxpY2UAbWFzdGVyAG1hc3RlcnNlY3JldA==\n"
	p := startProxy(t, dialogue.Backends(t, says+"S: +OK\n", says+"S: -ERR [AUTH] no\nEOF"), func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "secret"}
		p.SASL.Plain = []string{"SCRAM-SHA-256", "PLAIN"}
		p.backend.MasterUser, p.backend.MasterPassword = "master", "mastersecret"
	})
	scram := "S~ .*\nC= AUTH SCRAM-SHA-256\nS~ \\+ .*\nC=\nS~ \\+ .*\nC: \nS: "
	dialogue.PlayWith(t, dialTest(t, p.address), "scram", scram+"+OK Logged in\n", authtest.Answers("SCRAM-SHA-256", "alice", "secret"))
	require.Equal(t, temporary, p.dial(t).login("alice", "secret"), "that the master user is refused is not the client's fault")

	p = startProxy(t, dialogue.Backends(t, "EOF"), func(p *testProxy) {
		p.backend.MasterUser, p.backend.MasterPassword = "master", "mastersecret"
	})
	require.NotContains(t, p.dial(t).login("alice", "pw"), "+OK", "who was not checked is not let in by it")
}

func TestP16NothingToShowIsAFaultOfTheConfiguration(t *testing.T) {
	p := startProxy(t, backendFunc(t, func(nc net.Conn, in *bufio.Reader) { _, _ = in.ReadString('\n') }), func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "secret"}
		p.SASL.Plain = []string{"SCRAM-SHA-256"}
	})
	scram := "S~ .*\nC= AUTH SCRAM-SHA-256\nS~ \\+ .*\nC=\nS~ \\+ .*\nC: \nS: " + temporary + "\n"
	dialogue.PlayWith(t, dialTest(t, p.address), "scram", scram, authtest.Answers("SCRAM-SHA-256", "alice", "secret"))
	require.Contains(t, p.log.String(), "master user")
}

func TestP16AnotherNameIsToldAtTheBackEnd(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t, "S: +OK\nC: CAPA\nS: -ERR\nC: USER user0\nS: +OK\nC: PASS pw\nS: +OK"), nil)
	require.Equal(t, "+OK Logged in", p.dial(t).login("carol", "pw"))
}

func TestP15PasswordsCanNotHoldCommands(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t, "S: +OK\nC: CAPA\nS: -ERR\nEOF"), nil)
	require.Equal(t, temporary, p.dial(t).ask("AUTH PLAIN AGFsaWNlAHB3DQpERUxFIDE="), "a password with CRLF goes by AUTH only")
}

func TestP15ThrottleCountsWhatBackEndsRefuse(t *testing.T) {
	port := backendFunc(t, func(nc net.Conn, in *bufio.Reader) {
		for _, answer := range []string{"+OK\r\n", "-ERR\r\n", "+OK\r\n", "-ERR\r\n"} {
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
			_, _ = in.ReadString('\n')
		}
	})
	p := startProxy(t, port, func(p *testProxy) {
		p.Throttle = auth.NewThrottle(nil, auth.ThrottleOptions{UserFailures: 1, Delay: time.Minute})
	})
	require.Equal(t, "-ERR [AUTH] Authentication failed", p.dial(t).login("alice", "wrong"))
	require.Contains(t, p.dial(t).login("alice", "wrong"), "Too many failed attempts")
}

func TestP20ClientsOfOtherProtocolsAreClosedWithOneLineInTheLog(t *testing.T) {
	for name, says := range map[string]string{"TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP": "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"} {
		p := startProxy(t, dialogue.Backends(t), nil)
		c := p.dial(t)
		_, err := io.WriteString(c, says)
		require.NoError(t, err)
		rest, _ := io.ReadAll(c.r)
		require.Empty(t, rest)
		require.Equal(t, 1, strings.Count(p.log.String(), "\n"), p.log.String())
		require.Contains(t, p.log.String(), name)
	}
}

func TestProxyWithoutAFrontDoesNotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, (&Proxy{}).Serve(context.Background(), l), errNoFront)
}

func TestShutdownOfAProxyEndsWhoIsNotLoggedIn(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), func(p *testProxy) { p.PlainAuth = func(netip.Addr) bool { return true } })
	c := p.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, p.Shutdown(ctx))
	require.Equal(t, "-ERR [SYS/TEMP] Server is stopping", c.line())
}

func TestP14LongTokensAreShownOnALineOfTheirOwn(t *testing.T) {
	response := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=alice\x01auth=Bearer %s\x01\x01", strings.Repeat("x", 12<<10)))
	p := startProxy(t, dialogue.Backends(t, "S: +OK\nC: CAPA\nS: +OK\nS: SASL XOAUTH2\nS: .\nC: AUTH XOAUTH2\nS: + \nC: "+response+"\nS: +OK in",
		"S: +OK\nC: CAPA\nS: +OK\nS: SASL XOAUTH2\nS: .\nC: AUTH XOAUTH2\nS: -ERR no such thing\nEOF"), nil)
	require.Equal(t, "+OK in", p.dial(t).ask("AUTH XOAUTH2 "+response))
	require.Equal(t, temporary, p.dial(t).ask("AUTH XOAUTH2 "+response))
}

func TestX11KickEndsTheSessionAndFreesTheUser(t *testing.T) {
	const says = "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS pw\nS: +OK\n"
	var sessions proxy.Sessions
	p := startProxy(t, dialogue.Backends(t, says+"EOF", says), func(p *testProxy) { p.Front.Sessions = &sessions })
	c := p.dial(t)
	require.Equal(t, "+OK Logged in", c.login("alice", "pw"))
	n, err := sessions.Kick(t.Context(), func(s proxy.Session) bool { return s.User == "alice" && s.Protocol == proxy.POP3 }, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = c.r.ReadByte()
	require.Error(t, err)
	require.Equal(t, "+OK Logged in", p.dial(t).login("alice", "pw"))
}
