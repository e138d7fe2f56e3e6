package pop3

import (
	"bufio"
	"context"
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

func dialFrom(t *testing.T, from, address string) *client {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", address)
	if err != nil {
		t.Skip("only one loopback address: ", err)
	}
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { nc.Close() })
	c := &client{t, nc, bufio.NewReader(nc)}
	require.Regexp(t, `^\+OK mail`, c.line(), "it is no front end")
	return c
}

// TestP27BothTiersLogOneSession of one client, through one proxy and two.
func TestP27BothTiersLogOneSession(t *testing.T) {
	behind, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	s := startWith(t, func(s *Server) { watching(behind, shown)(s); s.Fronts = hereAlone })
	trusted := func(p *testProxy) { p.Fronts = hereAlone }
	one := startProxy(t, int(netip.MustParseAddrPort(s.address).Port()), trusted)
	two := startProxy(t, int(netip.MustParseAddrPort(one.address).Port()), trusted)
	for _, p := range []*testProxy{one, two} {
		c := dialFrom(t, "127.0.0.9", p.address)
		require.Contains(t, c.login("alice", "pw"), "+OK")
		require.Equal(t, "127.0.0.9", (<-shown).Remote.String())
		c.ok("QUIT")
	}
	line := regexp.MustCompile(`session=(\w+) remote=127.0.0.9 `)
	names := func(log string) (all []string) {
		for _, m := range line.FindAllStringSubmatch(log, -1) {
			if len(all) == 0 || all[len(all)-1] != m[1] {
				all = append(all, m[1])
			}
		}
		return all
	}
	require.Len(t, names(behind.String()), 2)
	require.Subset(t, names(one.log.String()), names(behind.String()))
	require.Contains(t, names(two.log.String()), names(behind.String())[1])
}

// TestX04P28ProxiesInACircleAreFoundByTheirHops: none of them knows its own
// address.
func TestX04P28ProxiesInACircleAreFoundByTheirHops(t *testing.T) {
	p := startProxy(t, 0, func(p *testProxy) {
		p.Fronts = hereAlone
		p.Front.Mapper = mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{Host: "127.0.0.1", Port: int(netip.MustParseAddrPort(p.address).Port())}, nil
		})
	})
	require.Regexp(t, `^-ERR \[SYS/TEMP\]`, dialFrom(t, "127.0.0.9", p.address).login("alice", "pw"))
	require.LessOrEqual(t, strings.Count(p.log.String(), "front end tells of a client"), proxy.MaxHops)
	require.Contains(t, p.log.String(), "circle")
}
