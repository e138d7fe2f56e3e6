package managesieve

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/mapping"
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

// client is a client that has been greeted.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (p *testProxy) client(t testing.TB) *client {
	t.Helper()
	c := &client{t, p.dial(t), nil}
	c.r = bufio.NewReader(c)
	c.result()
	return c
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimSuffix(line, "\r\n")
}

// result reads up to the line that ends a response.
func (c *client) result() string {
	c.t.Helper()
	for {
		line := c.line()
		for _, status := range []string{"OK", "NO", "BYE"} {
			if line == status || strings.HasPrefix(line, status+" ") {
				return line
			}
		}
	}
}

func (c *client) ask(command string) string {
	c.t.Helper()
	_, err := io.WriteString(c, command+"\r\n")
	require.NoError(c.t, err)
	return c.result()
}

const (
	alice     = `AUTHENTICATE "PLAIN" "AGFsaWNlAHB3"` // password pw
	temporary = `NO (TRYLATER) "Temporary failure, please try again later"`
	greets    = "\"SASL\" \"PLAIN\"\r\nOK\r\n"
)

// TestX05WhatNoServerSaysIsTemporary is beside what back ends of all protocols
// may do (TestFaultMatrix in package proxy).
func TestX05WhatNoServerSaysIsTemporary(t *testing.T) {
	for name, says := range map[string][]string{ // one by one, after the greeting for a line each; then it closes
		"a greeting without SASL":  {"OK\r\n"},
		"bare line ends":           {"\"SASL\" \"PLAIN\"\nOK\n"},
		"an answer that is none":   {greets, "FINE \"in\"\r\n"},
		"an answer with more":      {greets, "OK \"a\" \"b\"\r\n"},
		"a code without an end":    {greets, "NO (TRYLATER\r\n"},
		"goodbye to the login":     {greets, "BYE \"no\"\r\n"},
		"wants TLS":                {greets, "NO (ENCRYPT-NEEDED) \"no\"\r\n"},
		"asks on and on":           {greets, "\"\"\r\n", "\"\"\r\n"},
		"agrees in the middle":     {greets, "\"\"\r\n", "OK\r\n"},
		"refuses XCLIENT":          {"\"SASL\" \"PLAIN\"\r\n\"XCLIENT\"\r\nOK\r\n", "NO\r\n"},
		"a literal without an end": {greets, "NO {100}\r\nabc"},
		"a gigabyte":               {greets, "NO {1000000000}\r\nabc"},
		"a literal beyond numbers": {greets, "NO {99999999999999999999}\r\nabc"},
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
			c := startProxy(t, port, nil).client(t)
			require.Equal(t, temporary, c.ask(alice))
			require.Equal(t, temporary, c.ask(alice), "the session goes on")
			require.Equal(t, `OK "Goodbye"`, c.ask("LOGOUT"))
		})
	}
}

func TestX06RefusalsAreOneLine(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t,
		greetsThen(`S: NO {19}`+"\n"+`S! "a\r\nOK \"injected\"\r\nb\r\n"`),
		greetsThen(`S: NO (TRYLATER) "say \"no\""`),
		greetsThen(`S: NO "pw"`)), func(p *testProxy) { p.Pass = PassRefusals })
	c := p.client(t)
	require.Equal(t, `NO "a  OK \"injected\"  b"`, c.ask(alice))
	require.Equal(t, `NO (TRYLATER) "say \"no\""`, c.ask(alice))
	require.Equal(t, `NO "Authentication failed"`, c.ask(alice), "not when they repeat the password")
}

// greetsThen is a back end to which alice logs in.
func greetsThen(says string) string {
	return "S: \"SASL\" \"PLAIN\"\nS: OK\nC: " + alice + "\n" + says
}

func TestP12CapabilitiesBeforeTheHandshakeAreForgotten(t *testing.T) {
	const starts = "S: \"SASL\" \"PLAIN\"\nS: \"XCLIENT\"\nS: \"STARTTLS\"\nS: OK\nC: STARTTLS\nS: OK\nTLS\n"
	p := startProxy(t, dialogue.Backends(t, starts+greetsThen("S: OK \"in\""), starts+"S: OK\nEOF"),
		func(p *testProxy) { p.backend.TLS = mapping.TLSStart })
	require.Equal(t, `OK "in"`, p.client(t).ask(alice))
	require.Equal(t, temporary, p.client(t).ask(alice), "SASL is not offered any more")
}

func TestP12NoPasswordIsAskedForWithoutTLS(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), func(p *testProxy) { p.PlainAuth, p.SASL = nil, auth.Policy{} })
	c := p.client(t)
	require.Equal(t, `NO (ENCRYPT-NEEDED) "A secure connection is required to log in"`, c.ask(alice))
	_, err := io.WriteString(c, "CAPABILITY\r\n")
	require.NoError(t, err)
	c.line()
	require.Equal(t, `"SASL" ""`, c.line())
	require.Equal(t, `OK "Capability completed"`, c.result())
}

func TestP16TheProxyChecksAndLogsInAsMaster(t *testing.T) {
	const says = "S: \"SASL\" \"PLAIN\"\nS: OK\nC: AUTHENTICATE \"PLAIN\" \"YWxpY2UAbWFzdGVyAG1hc3RlcnNlY3JldA==\"\n"
	p := startProxy(t, dialogue.Backends(t, says+"S: OK\n", says+"S: NO\nEOF"), func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "pw"}
		p.backend.MasterUser, p.backend.MasterPassword = "master", "mastersecret"
	})
	c := p.client(t)
	require.Equal(t, `NO "Authentication failed"`, c.ask(`AUTHENTICATE "PLAIN" "AGFsaWNlAHdyb25n"`), "no back end is asked")
	require.Equal(t, `OK "Logged in"`, c.ask(alice))
	require.Equal(t, temporary, p.client(t).ask(alice), "that the master user is refused is not the client's fault")
}

func TestP16SCRAMWhereTheProxyChecks(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t, "S: \"SASL\" \"PLAIN\"\nS: OK\nC~ AUTHENTICATE .*\nS: OK\n"), func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "pw"}
		p.SASL.Plain = []string{"SCRAM-SHA-256"}
		p.backend.MasterUser, p.backend.MasterPassword = "master", "mastersecret"
	})
	c := p.client(t)
	said := quotedExchange(t, c, authtest.Answers("SCRAM-SHA-256", "alice", "pw"))
	require.Equal(t, `OK "Logged in"`, said)
}

func TestP15FailuresEndTheSession(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), func(p *testProxy) {
		p.Auth = authtest.Account{User: "alice", Password: "other"}
		p.Limits.AuthFailures = 2
	})
	c := p.client(t)
	require.Equal(t, `NO "Authentication failed"`, c.ask(alice))
	require.Equal(t, `BYE "Authentication failed"`, c.ask(alice))
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestP20ClientsOfOtherProtocolsAreClosedWithOneLineInTheLog(t *testing.T) {
	for name, says := range map[string]string{"TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP": "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"} {
		p := startProxy(t, dialogue.Backends(t), nil)
		c := p.client(t)
		_, err := io.WriteString(c, says)
		require.NoError(t, err)
		rest, _ := io.ReadAll(c.r)
		require.Empty(t, rest)
		require.Equal(t, 1, strings.Count(p.log.String(), "\n"), p.log.String())
		require.Contains(t, p.log.String(), name)
	}
}

func TestBadCommandsEndTheSession(t *testing.T) {
	c := startProxy(t, dialogue.Backends(t), nil).client(t)
	for range 19 {
		require.Equal(t, `NO "Unknown command"`, c.ask("HELP"))
	}
	require.Equal(t, `BYE "Unknown command"`, c.ask("HELP"))
}

func TestShutdownEndsWhoIsNotLoggedIn(t *testing.T) {
	p := startProxy(t, dialogue.Backends(t), nil)
	c := p.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, p.Shutdown(ctx))
	require.Equal(t, `BYE (TRYLATER) "Server is stopping"`, c.line())
}

func TestProxyWithoutAFrontDoesNotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, (&Proxy{}).Serve(context.Background(), l), errNoFront)
}

func TestP28ReferralsAreFollowedWhereThatIsAllowed(t *testing.T) {
	other := dialogue.Backends(t, greetsThen(`S: OK "there"`))
	refers := fmt.Sprintf("S: NO (REFERRAL \"sieve://127.0.0.1:%d\") \"Not here\"\nEOF", other)
	p := startProxy(t, dialogue.Backends(t, greetsThen(refers), greetsThen("S: BYE (REFERRAL \"http://127.0.0.1/\")\n")), func(p *testProxy) {
		p.Front.Referrals = func(_, to mapping.Route) bool { return to.Port == other }
	})
	require.Equal(t, `OK "there"`, p.client(t).ask(alice))
	require.Equal(t, temporary, p.client(t).ask(alice))
}

func TestX04ReferralsInACircleAreNotFollowed(t *testing.T) {
	port := backendFunc(t, func(nc net.Conn, in *bufio.Reader) {
		_, _ = fmt.Fprintf(nc, "BYE (REFERRAL \"sieve://127.0.0.1:%d\")\r\n", nc.LocalAddr().(*net.TCPAddr).Port)
	})
	p := startProxy(t, port, func(p *testProxy) { p.Front.Referrals = func(_, _ mapping.Route) bool { return true } })
	require.Equal(t, temporary, p.client(t).ask(alice))
	require.Contains(t, p.log.String(), "circle")
}

func TestP14LongTokensAreLiterals(t *testing.T) {
	response := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user=alice\x01auth=Bearer %s\x01\x01", strings.Repeat("x", 12<<10)))
	literal := fmt.Sprintf("{%d+}", len(response))
	p := startProxy(t, dialogue.Backends(t, "S: \"SASL\" \"XOAUTH2\"\nS: OK\nC: AUTHENTICATE \"XOAUTH2\" "+literal+"\nC: "+response+"\nS: OK \"in\""), nil)
	require.Equal(t, `OK "in"`, p.client(t).ask("AUTHENTICATE \"XOAUTH2\" "+literal+"\r\n"+response))
}
