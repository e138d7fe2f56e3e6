package managesieve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// hereAlone is the address that proxies of tests dial from; clients come from
// another one.
func hereAlone(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }

func trusting(p *testProxy) { p.Fronts = hereAlone }

func portOf(p *testProxy) int { return int(netip.MustParseAddrPort(p.address).Port()) }

// dialFrom returns a client of another address, which is told of no XCLIENT.
func dialFrom(t *testing.T, address string) *client {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", address)
	if err != nil {
		t.Skip("only one loopback address: ", err)
	}
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { nc.Close() })
	c := &client{t, nc, bufio.NewReader(nc)}
	c.result()
	return c
}

// recording is a back end that lets everybody in and sends what it is told of
// clients.
func recording(t *testing.T, told chan string) int {
	return backendFunc(t, func(nc net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(nc, "\"SASL\" \"PLAIN\"\r\n\"XCLIENT\"\r\nOK\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "XCLIENT ") {
				told <- strings.TrimSpace(line)
			}
			_, _ = io.WriteString(nc, "OK\r\n")
		}
	})
}

// TestP27AllTiersLogOneSession of one client, through one proxy and two.
func TestP27AllTiersLogOneSession(t *testing.T) {
	told := make(chan string, 2)
	one := startProxy(t, recording(t, told), trusting)
	two := startProxy(t, portOf(one), trusting)
	said := regexp.MustCompile(`^XCLIENT ADDR=127\.0\.0\.9 PORT=([0-9]+) SESSION=([0-9a-z]{10}) TTL=([0-9]+)$`)
	for i, p := range []*testProxy{one, two} {
		c := dialFrom(t, p.address)
		require.Regexp(t, `^OK`, c.ask(alice))
		port := netip.MustParseAddrPort(c.LocalAddr().String()).Port()
		got := said.FindStringSubmatch(<-told)
		require.NotNil(t, got)
		require.Equal(t, fmt.Sprint(port), got[1])
		require.Equal(t, fmt.Sprint(proxy.MaxHops-1-i), got[3])
		c.Close()
		line := regexp.MustCompile(`msg="logged in" session=` + got[2] + ` remote=127.0.0.9 `)
		require.Regexp(t, line, p.log.String())
		require.Regexp(t, line, one.log.String())
		require.Eventually(t, func() bool {
			return strings.Contains(one.log.String(), `msg="session ended" service=managesieve remote=127.0.0.9 session=`+got[2]+` `)
		}, time.Minute, time.Millisecond)
	}
	require.Regexp(t, `msg="logged in" .* front=127.0.0.1`, one.log.String())
}

// TestX04P28ProxiesInACircleAreFoundByTheirHops: none of them knows its own
// address.
func TestX04P28ProxiesInACircleAreFoundByTheirHops(t *testing.T) {
	p := startProxy(t, 0, func(p *testProxy) {
		trusting(p)
		p.Front.Mapper = mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{Host: "127.0.0.1", Port: portOf(p)}, nil
		})
	})
	require.Equal(t, temporary, dialFrom(t, p.address).ask(alice))
	require.LessOrEqual(t, strings.Count(p.log.String(), "front end tells of a client"), proxy.MaxHops)
	require.Contains(t, p.log.String(), "circle")
}

func TestX02XclientOfStrangersIsNoCommand(t *testing.T) {
	told := make(chan string, 1)
	p := startProxy(t, recording(t, told), func(p *testProxy) { p.Fronts = func(netip.Addr) bool { return false } })
	c := p.client(t)
	for range 3 {
		require.Equal(t, `NO "Arguments are strings"`, c.ask("XCLIENT ADDR=192.0.2.7 SESSION=stolen"))
	}
	require.Equal(t, `NO "Unknown command"`, c.ask("XCLIENT"))
	require.Regexp(t, `^OK`, c.ask(alice))
	require.Contains(t, <-told, "ADDR=127.0.0.1 ")
	require.Equal(t, 1, strings.Count(p.log.String(), "identity of a client is ignored"), "logged once")
	require.NotContains(t, p.log.String(), "192.0.2.7")
	require.NotContains(t, p.log.String(), "stolen")
}

// TestP26StrangersSeeNothingOfFrontEnds compares what a proxy that trusts
// front ends says to others with what one says that trusts none.
func TestP26StrangersSeeNothingOfFrontEnds(t *testing.T) {
	said := func(fronts func(netip.Addr) bool) string {
		p := startProxy(t, 0, func(p *testProxy) { p.Fronts = fronts })
		nc := p.dial(t)
		_, err := io.WriteString(nc, "CAPABILITY\r\nXCLIENT ADDR=192.0.2.7\r\nXCLIENT \"ADDR=192.0.2.7\"\r\nXCLIENT\r\nCAPABILITY\r\nLOGOUT\r\n")
		require.NoError(t, err)
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		return string(all)
	}
	none := said(nil)
	require.Equal(t, none, said(func(netip.Addr) bool { return false }))
	require.NotContains(t, none, "XCLIENT")
}

func TestWhatFrontEndsMayTell(t *testing.T) {
	p := startProxy(t, 0, trusting)
	dialogue.Play(t, p.dial(t), t.Name(), `S: "IMPLEMENTATION" "Posthouse"
S: "SASL" "OAUTHBEARER XOAUTH2 PLAIN LOGIN"
S: "SIEVE" "fileinto vacation"
S: "STARTTLS"
S: "VERSION" "1.0"
S: "XCLIENT"
S: OK "mail.example.test ManageSieve ready"
C: xclient addr=2001:db8::1 port=4190 session=a:b/c ttl=7 FORWARD=YQ== X=[UNAVAILABLE]
S: OK "Updated"
C: XCLIENT
S: NO "Malformed XCLIENT"
C: XCLIENT "ADDR=192.0.2.7"
S: NO "Malformed XCLIENT"
C: XCLIENT ADDR=192.0.2.7 ADDR=192.0.2.8
S: NO "Malformed XCLIENT"
C: XCLIENT ADDR=here
S: NO "Malformed XCLIENT"
C: XCLIENT LOGIN=alice
S: NO "Malformed XCLIENT"
C: XCLIENT X=`+strings.Repeat("y", maxXclient)+`
S: NO "Malformed XCLIENT"
C: XCLIENT TTL=1
S: BYE (TRYLATER) "Too many proxies: they lead in a circle"
EOF
`)
	require.Regexp(t, `msg="front end tells of a client" session=a:b/c remote=2001:db8::1 .*front=127.0.0.1`, p.log.String())
}

func TestWhatIsToldBeforeSTARTTLSIsForgotten(t *testing.T) {
	told := make(chan string, 1)
	p := startProxy(t, recording(t, told), trusting)
	dialogue.Play(t, p.dial(t), t.Name(), `S~ "IMPLEMENTATION" .*
S~ "SASL" .*
S~ "SIEVE" .*
S: "STARTTLS"
S~ "VERSION" .*
S: "XCLIENT"
S~ OK .*
C: XCLIENT ADDR=192.0.2.7 SESSION=f00
S: OK "Updated"
C: STARTTLS
S~ OK .*
TLS
S~ "IMPLEMENTATION" .*
S~ "SASL" .*
S~ "SIEVE" .*
S~ "VERSION" .*
S: "XCLIENT"
S~ OK .*
C: `+alice+`
S~ OK .*
`)
	require.Contains(t, <-told, "TTL=")
	require.NotRegexp(t, `msg="logged in" session=f00`, p.log.String())
	require.NotRegexp(t, `msg="logged in" .*remote=192.0.2.7`, p.log.String())
}

// TestThrottleIsKeyedByTheClientBehindAFrontEnd: who guesses through a front end
// is held up, and the others behind it are not.
func TestThrottleIsKeyedByTheClientBehindAFrontEnd(t *testing.T) {
	p := startProxy(t, recording(t, make(chan string, 9)), func(p *testProxy) {
		trusting(p)
		p.SASL = auth.Policy{}
		p.Auth = auth.NewThrottle(authtest.Account{User: "alice", Password: "pw"}, auth.ThrottleOptions{NetworkFailures: 1, UserFailures: 100, Delay: time.Hour, Longest: time.Hour})
	})
	try := func(from, login, answer string) {
		t.Helper()
		c := p.client(t)
		require.Regexp(t, `^OK`, c.ask("XCLIENT ADDR="+from))
		require.Contains(t, c.ask(login), answer)
	}
	try("192.0.2.7", `AUTHENTICATE "PLAIN" "AGJvYgB3cm9uZw=="`, `NO "Authentication failed"`)
	try("192.0.2.7", alice, "NO (TRYLATER) \"Too many failed attempts")
	try("192.0.2.8", alice, "OK")
}

// TestP26P27DovecotInFrontTellsOfItsClients has Dovecot before the proxy, and
// another behind it, which trusts that.
func TestP26P27DovecotInFrontTellsOfItsClients(t *testing.T) {
	d := dovecot(t, realtest.DovecotTrusts)
	p := startProxy(t, d.Sieve, trusting)
	before, err := realtest.StartDovecotProxy(t.Context(), realtest.Backends{Sieve: portOf(p)})
	require.NoError(t, err)
	t.Cleanup(before.Stop)
	c := dialFrom(t, fmt.Sprint("127.0.0.1:", before.Sieve))
	require.Regexp(t, `^NO`, c.ask(`AUTHENTICATE "PLAIN" "AHVzZXIwAHdyb25n"`))
	c = dialFrom(t, fmt.Sprint("127.0.0.1:", before.Sieve))
	require.Regexp(t, `^OK`, c.ask(`AUTHENTICATE "PLAIN" "AHVzZXIwAHB3"`))
	require.Regexp(t, `^OK`, c.ask("LISTSCRIPTS"))
	require.Regexp(t, `^OK`, c.ask("LOGOUT"))
	require.Regexp(t, `msg="authentication failed" service=managesieve remote=127.0.0.9 .*front=127.0.0.1`, p.log.String())
	session := regexp.MustCompile(`msg="logged in" session="?([^ "]+)"? remote=127.0.0.9 .*front=127.0.0.1`).FindStringSubmatch(p.log.String())
	require.NotNil(t, session, p.log.String())
	login := regexp.MustCompile(`managesieve-login: Info: Login: user=<user0>.*rip=127\.0\.0\.9.*session=<` + regexp.QuoteMeta(session[1]) + `>`)
	require.Eventually(t, func() bool { return login.MatchString(d.Log()) }, time.Minute, 10*time.Millisecond, d.Log())
	require.Eventually(t, func() bool { return strings.Contains(before.Log(), session[1]) }, time.Minute, 10*time.Millisecond, before.Log())
}
