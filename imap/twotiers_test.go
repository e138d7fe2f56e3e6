package imap

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// hereAlone is the address that proxies of tests dial from; clients come from
// another one.
func hereAlone(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }

// serveProxy serves a proxy that leads to where lead says, as it tells of
// itself, and returns its address.
func serveProxy(t *testing.T, log *logBuffer, lead func(own *net.TCPAddr) (port int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	own := l.Addr().(*net.TCPAddr)
	p := &Proxy{
		Front: &proxy.Front{
			Mapper: mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
				return mapping.Route{Host: "127.0.0.1", Port: lead(own)}, nil
			}),
			Backends: func(mapping.Route) proxy.Backend { return proxy.Backend{TLS: mapping.TLSNone, Tell: proxy.TellID} },
		},
		PlainAuth: anyone, Fronts: hereAlone, Timeouts: Timeouts{AuthDelay: -1},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		<-done
		require.Eventually(t, func() bool { return p.Sessions() == 0 }, time.Minute, time.Millisecond)
	})
	return own.String()
}

func dialFrom(t *testing.T, from, address string) *client {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", address)
	if err != nil {
		t.Skip("only one loopback address: ", err)
	}
	t.Cleanup(func() { conn.Close() })
	return talk(t, conn)
}

// TestX03ThereIsNoSecondLoginPastAFrontEnd: neither tier offers it, and the back
// end takes none.
func TestX03ThereIsNoSecondLoginPastAFrontEnd(t *testing.T) {
	_, backend := newServer(t, func(s *Server) { s.Fronts = hereAlone })
	address := serveProxy(t, &logBuffer{}, func(*net.TCPAddr) int { return int(netip.MustParseAddrPort(backend).Port()) })
	for _, login := range []string{"LOGIN alice secret", "AUTHENTICATE PLAIN " + plainResponse("", "alice", "secret")} {
		c := dialFrom(t, "127.0.0.9", address)
		c.send("a " + login + "\r\n")
		said, answer := c.until("a")
		require.Contains(t, said+answer, "CAPABILITY IMAP4rev1 ")
		require.NotContains(t, said+answer, "UNAUTHENTICATE")
		require.NotContains(t, c.ok("CAPABILITY"), "UNAUTHENTICATE")
		c.fails("UNAUTHENTICATE", "NO [CANNOT]")
		c.fails("LOGIN bob hunter2", "BAD")
		require.Contains(t, c.ok(`LIST "" "*"`), "INBOX", "alice's session goes on")
	}
	direct := dialFrom(t, "127.0.0.9", backend)
	require.Contains(t, direct.ok("LOGIN alice secret")+direct.ok("CAPABILITY"), "UNAUTHENTICATE")
	direct.ok("UNAUTHENTICATE")
	direct.ok("LOGIN bob hunter2")
}

// TestP27BothTiersLogOneSession of one client, through one proxy and two.
func TestP27BothTiersLogOneSession(t *testing.T) {
	behind, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, backend := newServer(t, func(s *Server) { watching(behind, shown)(s); s.Fronts = hereAlone })
	port := int(netip.MustParseAddrPort(backend).Port())
	first, second := &logBuffer{}, &logBuffer{}
	one := serveProxy(t, first, func(*net.TCPAddr) int { return port })
	two := serveProxy(t, second, func(*net.TCPAddr) int { return int(netip.MustParseAddrPort(one).Port()) })
	for _, address := range []string{one, two} {
		c := dialFrom(t, "127.0.0.9", address)
		c.ok("LOGIN alice secret")
		require.Equal(t, "127.0.0.9", (<-shown).Remote.String())
		c.ok("LOGOUT")
	}
	line := regexp.MustCompile(`msg=authenticated service=imap remote=127.0.0.9 user=alice session=(\w+)`)
	names := func(l *logBuffer) (all []string) {
		for _, m := range line.FindAllStringSubmatch(l.String(), -1) {
			all = append(all, m[1])
		}
		return all
	}
	require.Len(t, names(behind), 2)
	require.Equal(t, names(behind), names(first))
	require.Equal(t, names(behind)[1:], names(second))
}

// TestX04P28ProxiesInACircleAreFoundByTheirHops: none of them knows its own
// address.
func TestX04P28ProxiesInACircleAreFoundByTheirHops(t *testing.T) {
	log := &logBuffer{}
	address := serveProxy(t, log, func(own *net.TCPAddr) int { return own.Port })
	c := dialFrom(t, "127.0.0.9", address)
	c.fails("LOGIN alice secret", "NO [UNAVAILABLE]")
	require.LessOrEqual(t, strings.Count(log.String(), "front end tells of a client"), proxy.MaxHops)
	require.Contains(t, log.String(), "circle")
	require.NotContains(t, log.String(), "secret")
}
