package front

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/listener"
)

func TestToldAddresses(t *testing.T) {
	for value, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "IPV6:2001:db8::7": "2001:db8::7", "ipv6:2001:DB8::7": "2001:db8::7", "2001:db8::7": "2001:db8::7",
		"::ffff:192.0.2.7": "192.0.2.7", "[UNAVAILABLE]": "invalid IP", "[TEMPUNAVAIL]": "invalid IP",
	} {
		told := Told{Front: netip.MustParseAddrPort("10.0.0.1:1")}
		require.NoError(t, told.Set("ADDR", value), value)
		require.Equal(t, want, told.Remote.Addr().String(), value)
	}
	for _, value := range []string{"", "0.0.0.0", "::", "IPV6:", "IPV6:192.0.2.7", "192.0.2", "192.0.2.07", "fe80::1%1", "[192.0.2.7]", " 192.0.2.7", "host"} {
		told := Told{Front: netip.MustParseAddrPort("10.0.0.1:1")}
		require.ErrorIs(t, told.Set("ADDR", value), ErrMalformed, value)
	}
}

// TestS19LoopbackOfAnotherHostIsNobody: a client on a front end's own host is
// not one on this host, who may be allowed something.
func TestS19LoopbackOfAnotherHostIsNobody(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "IPV6:::1", "::ffff:127.0.0.1"} {
		far := Told{Front: netip.MustParseAddrPort("10.0.0.1:1")}
		require.NoError(t, far.Set("ADDR", address))
		require.False(t, far.Remote.Addr().IsValid())
		near := Told{Front: netip.MustParseAddrPort("127.0.0.1:1")}
		require.NoError(t, near.Set("ADDR", address))
		require.True(t, near.Remote.Addr().IsLoopback())
	}
}

// TestX04HopsEnd: who may send nobody on gets no word in.
func TestX04HopsEnd(t *testing.T) {
	var told Told
	require.NoError(t, told.Set("TTL", "2"))
	require.Equal(t, 2, told.Hops)
	require.ErrorIs(t, told.Set("TTL", "1"), ErrLoop)
	require.ErrorIs(t, told.Set("TTL", "0"), ErrLoop)
	for _, value := range []string{"", "-1", "+2", "256", "1e3", "99999999999999999999"} {
		require.ErrorIs(t, told.Set("TTL", value), ErrMalformed, value)
	}
}

func TestOnlyListedFrontEndsTell(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	c := wire.New(server, wire.Timeouts{})
	defer c.Close()
	require.Nil(t, NewTold(c, func(netip.Addr) bool { return true }), "nobody knows where it comes from")
	require.Nil(t, NewTold(c, nil))

	var nobody *Told
	nobody.Seal()
	nobody.Forget()
	require.False(t, nobody.Listens() || nobody.Said())
	require.Equal(t, "192.0.2.7", nobody.Addr(netip.MustParseAddr("192.0.2.7")).String())
}

func TestWhatIsSealedIsNotForgotten(t *testing.T) {
	told := &Told{Front: netip.MustParseAddrPort("10.0.0.1:1")}
	require.NoError(t, told.Set("ADDR", "192.0.2.7"))
	told.Forget()
	require.False(t, told.Said())
	require.False(t, told.Remote.IsValid())
	require.NoError(t, told.Set("ADDR", "192.0.2.7"))
	told.Seal()
	told.Forget()
	require.False(t, told.Listens())
	require.Equal(t, "192.0.2.7", told.Addr(netip.MustParseAddr("10.0.0.1")).String())
}

// TestWhatAProxyTellsIsAllThereIs: who speaks behind it is believed nothing.
func TestWhatAProxyTellsIsAllThereIs(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := listener.Wrap(inner, listener.Config{Proxy: listener.ProxyRequired, ProxyFrom: listener.MustParseIPSet("127.0.0.0/8")})
	defer l.Close()
	told := func(header string) (*Told, *wire.Conn) {
		client, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Write([]byte(header))
		require.NoError(t, err)
		nc, err := l.Accept()
		require.NoError(t, err)
		c := wire.New(nc, wire.Timeouts{})
		t.Cleanup(func() { c.Close() })
		return NewTold(c, netip.Addr.IsLoopback), c
	}
	known, c := told("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
	require.False(t, known.Trusted() || known.Listens() || known.Said())
	require.Equal(t, "192.0.2.7:4711", known.Remote.String())
	require.Equal(t, "198.51.100.1:25", known.Local.String())
	require.Equal(t, "192.0.2.7", known.Addr(c.Remote()).String())
	require.Equal(t, "192.0.2.7", known.Allowed(c.Remote()).String())
	require.True(t, known.Front.Addr().IsLoopback())

	unknown, c := told("PROXY UNKNOWN\r\n")
	require.False(t, unknown.Trusted() || unknown.Listens() || unknown.Remote.IsValid())
	require.True(t, unknown.Addr(c.Remote()).IsLoopback())
	require.False(t, unknown.Allowed(c.Remote()).IsValid(), "S19: a proxy's own address is allowed nothing")

	frontEnd, _ := told("PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\n")
	require.False(t, frontEnd.Trusted(), "its address is one of a proxy")
}

// TestX03WhoCameThroughAFrontEndIsKnown by its address, or by what front ends
// alone say in a PROXY header: a load balancer has let nobody in.
func TestX03WhoCameThroughAFrontEndIsKnown(t *testing.T) {
	require.False(t, (*Told)(nil).Relayed(), "the client's own connection")
	require.True(t, (&Told{Front: netip.MustParseAddrPort("10.0.0.1:1")}).Relayed())
	require.False(t, (&Told{said: true, deaf: true}).Relayed(), "a load balancer")
	require.True(t, (&Told{said: true, deaf: true, Hops: 6}).Relayed(), "a front end before it, or in its place")
}
