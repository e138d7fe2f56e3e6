package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/listener"
)

// startProxied serves s behind a listener that takes PROXY headers from
// loopback.
func startProxied(t *testing.T, s *Server) (address string) {
	t.Helper()
	l := listener.Wrap(listen(t), listener.Config{
		Proxy: listener.ProxyRequired, ProxyFrom: listener.MustParseIPSet("127.0.0.0/8"), Logger: quiet,
	})
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
	return l.Addr().String()
}

// proxied returns a client whose connection begins with a header.
func proxied(t *testing.T, address, header string) *client {
	t.Helper()
	nc := dial(t, address)
	_, err := io.WriteString(nc, header)
	require.NoError(t, err)
	return hello(t, nc)
}

// TestS19ClientOfAProxyThatTellsNothingIsNobody, where the proxy is not only
// within a network that may relay, but a front end besides: what is said there
// is said by whoever is behind it.
func TestS19ClientOfAProxyThatTellsNothingIsNobody(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Fronts = netip.Addr.IsLoopback
	c := proxied(t, startProxied(t, s), "PROXY UNKNOWN\r\n")
	c.ask("XCLIENT ADDR=192.0.2.7\r\n", "500 5.5.1 Unknown command")
	c.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "538 ")
	c.sendOne()
	got := b.only(t)
	require.False(t, got.facts.Remote.Addr().IsValid())
	require.True(t, got.facts.Front.Addr().IsLoopback())
}

// TestX02P21ClientOfAProxyTellsNothing: the proxy has told who it is.
func TestX02P21ClientOfAProxyTellsNothing(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Fronts = netip.Addr.IsLoopback
	c := proxied(t, startProxied(t, s), "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
	c.ask("XCLIENT ADDR=192.0.2.8\r\n", "500 5.5.1 Unknown command")
	c.sendOne()
	require.Equal(t, "192.0.2.7:4711", b.only(t).facts.Remote.String())
	require.Equal(t, "198.51.100.1:25", b.only(t).facts.Local.String())
}

// TestFrontEndsMayStandBehindAProxy: the address that is told is theirs.
func TestFrontEndsMayStandBehindAProxy(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Fronts = func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.1") }
	c := proxied(t, startProxied(t, s), "PROXY TCP4 10.0.0.1 198.51.100.1 4711 25\r\n")
	c.ask("XCLIENT ADDR=192.0.2.8\r\n", "220 ")
	c.sendOne()
	require.Equal(t, "192.0.2.8", b.only(t).facts.Remote.Addr().String())
	require.Equal(t, "10.0.0.1:4711", b.only(t).facts.Front.String())
}

// TestP27SessionsHaveTheNameInAPROXYHeader, where it can be one.
func TestP27SessionsHaveTheNameInAPROXYHeader(t *testing.T) {
	for id, want := range map[string]string{"f00": "^f00$", "two words": `^\w{10}$`, "": `^\w{10}$`} {
		h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 25})
		if id != "" {
			require.NoError(t, h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: []byte(id)}}))
		}
		octets, err := h.Format()
		require.NoError(t, err)
		b := &box{}
		s := newServer(b)
		log, lines := newLogger()
		s.Logger = log
		c := proxied(t, startProxied(t, s), string(octets))
		c.sendOne()
		got := b.only(t).facts
		require.Regexp(t, want, got.ID)
		c.ask("NONSENSE\r\n", "500 ")
		require.Regexp(t, fmt.Sprintf(`msg="command refused" session=%s service=smtp remote=192.0.2.7 .* front=127.0.0.1\n`, got.ID), lines.String())
	}
}
