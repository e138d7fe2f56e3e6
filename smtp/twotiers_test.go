package smtp

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// hereAlone is the address that proxies of tests dial from; clients come from
// another one.
func hereAlone(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }

// telling is a proxy that tells of its clients, and may stand behind another.
func telling(m mapping.Mapper) *Proxy {
	p := newProxy(m)
	p.Fronts = hereAlone
	p.Front.Backends = func(mapping.Route) proxy.Backend {
		return proxy.Backend{TLSConfig: testcert.Client(), Tell: proxy.TellXCLIENT}
	}
	return p
}

func dialFrom(t *testing.T, from, address string) net.Conn {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", address)
	if err != nil {
		t.Skip("only one loopback address: ", err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// TestP27BothTiersLogOneSession of one client, through one proxy and two, with
// TLS between them and without.
func TestP27BothTiersLogOneSession(t *testing.T) {
	for _, mode := range []mapping.TLSMode{mapping.TLSNone, mapping.TLSStart} {
		b := &box{}
		s := newServer(b)
		log, behind := newLogger()
		s.Protocol, s.Fronts, s.Logger = Submission, hereAlone, log
		way := to(t, start(t, s))
		way.TLS = mode
		one := telling(routes{"alice": way})
		var first, second *logBuffer
		one.Logger, first = newLogger()
		way = to(t, startProxy(t, one))
		way.TLS = mode
		two := telling(routes{"alice": way})
		two.Logger, second = newLogger()
		dialogue.Play(t, dialFrom(t, "127.0.0.9", startProxy(t, two)), t.Name(), proxyHello+plainly("", "alice", "secret")+`S~ 235 .*
C: XCLIENT ADDR=192.0.2.1 SESSION=stolen
S: 503 5.5.1 XCLIENT comes before MAIL and AUTH
C: MAIL FROM:<a@d.test>
S~ 250 .*
C: RCPT TO:<a@d.test>
S~ 250 .*
`+content+`S~ 250 .*
`)
		got := b.only(t).facts
		require.Equal(t, "127.0.0.9", got.Remote.Addr().String())
		require.Equal(t, "client.example", got.Helo)
		require.Equal(t, proxy.MaxHops-2, got.Hops)
		for _, log := range []*logBuffer{behind, first, second} {
			require.Regexp(t, regexp.MustCompile(`msg=authenticated .*remote=127.0.0.9 .*session=`+got.ID), log.String())
		}
	}
}

// TestX04P28ProxiesInACircleAreFoundByTheirHops: none of them knows its own
// address.
func TestX04P28ProxiesInACircleAreFoundByTheirHops(t *testing.T) {
	var own mapping.Route
	p := telling(mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) { return own, nil }))
	log, lines := newLogger()
	p.Logger = log
	l := listen(t)
	own = to(t, l.Addr().String())
	own.TLS = mapping.TLSNone
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
	dialogue.Play(t, dialFrom(t, "127.0.0.9", l.Addr().String()), t.Name(), proxyHello+plainly("", "alice", "secret")+"S~ 454 4.7.0 .*\n")
	require.LessOrEqual(t, strings.Count(lines.String(), "front end tells of a client"), 2*proxy.MaxHops)
	require.Contains(t, lines.String(), "circle")
}
