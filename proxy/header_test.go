package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mapping"
)

const (
	waitFor = time.Minute
	tick    = time.Millisecond
)

// told is what a back end of this library knows of a connection.
type told struct {
	remote, local string
	listener.Proxied
}

// tell sends a header to a back end and returns what that knows.
func tell(t *testing.T, mode mapping.TLSMode, c Client) told {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	config := listener.Config{Proxy: listener.ProxyRequired, ProxyFrom: listener.MustParseIPSet("127.0.0.1")}
	if mode == mapping.TLSImplicit {
		config.TLS = testcert.Server()
	}
	knows := make(chan told, 1)
	host := fakeHostOn(t, listener.Wrap(inner, config), func(nc net.Conn) {
		knows <- told{nc.RemoteAddr().String(), nc.LocalAddr().String(), *listener.ProxiedOf(nc)}
		greet(nc)
	})
	host.route.TLS = mode
	f := frontTo(host.route, Backend{Tell: TellPROXY, TLSConfig: trusting()})
	l, err := f.Reach(t.Context(), "alice", c)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return <-knows
}

func TestP22HeaderTellsTheClientBeforeTLS(t *testing.T) {
	c := testClient()
	c.Hops = 4
	c.TLS = &tls.ConnectionState{
		Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "mail.example.test",
		PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "Alice"}}}, VerifiedChains: [][]*x509.Certificate{{}},
	}
	for _, mode := range []mapping.TLSMode{mapping.TLSNone, mapping.TLSImplicit} {
		got := tell(t, mode, c)
		require.Equal(t, "192.0.2.7:1234", got.remote)
		require.Equal(t, "198.51.100.1:143", got.local)
		require.True(t, got.Told)
		require.Equal(t, "abc123", got.UniqueID)
		require.Equal(t, "mail.example.test", got.Authority)
		require.Equal(t, 3, got.Hops)
		require.Equal(t, &listener.ProxiedTLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", CommonName: "Alice", Verified: true}, got.TLS)
	}
}

func TestP22HeaderTellsIPv6AndPlainClients(t *testing.T) {
	c := testClient()
	c.Remote, c.Local = netip.MustParseAddrPort("[2001:db8::7]:1234"), netip.MustParseAddrPort("[2001:db8::1]:143")
	got := tell(t, mapping.TLSNone, c)
	require.Equal(t, "[2001:db8::7]:1234", got.remote)
	require.Nil(t, got.TLS)
	c.Remote, c.Local = netip.MustParseAddrPort("[::ffff:192.0.2.7]:1234"), netip.MustParseAddrPort("198.51.100.1:143")
	require.Equal(t, "192.0.2.7:1234", tell(t, mapping.TLSNone, c).remote)
}

func TestP22AddressesOfTwoFamiliesAreNotTold(t *testing.T) {
	for _, local := range []string{"[2001:db8::1]:143", ""} {
		c := testClient()
		c.Local = netip.AddrPort{}
		if local != "" {
			c.Local = netip.MustParseAddrPort(local)
		}
		got := tell(t, mapping.TLSNone, c)
		require.False(t, got.Told)
		require.True(t, strings.HasPrefix(got.remote, "127.0.0.1:"))
		require.Equal(t, "abc123", got.UniqueID, "but what else there is")
		require.Equal(t, MaxHops-1, got.Hops)
	}
}

func TestUnverifiedCertificateAndLongTextsAreNotPassedOff(t *testing.T) {
	c := testClient()
	c.Session = strings.Repeat("s", 129)
	c.TLS = &tls.ConnectionState{
		Version: tls.VersionTLS12, ServerName: strings.Repeat("n", 300),
		PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: strings.Repeat("c", 70_000)}}},
	}
	got := tell(t, mapping.TLSNone, c)
	require.Equal(t, "192.0.2.7:1234", got.remote)
	require.Empty(t, got.UniqueID+got.Authority+got.TLS.CommonName)
	require.Equal(t, "TLSv1.2", got.TLS.Version)
	require.False(t, got.TLS.Verified)
}

func TestFailureAfterAHeaderMayBeTheClientsFault(t *testing.T) {
	host := newFakeHost(t, func(net.Conn) {}) // closes at once, as one that bans the client
	host.route.TLS = mapping.TLSImplicit
	f := frontTo(host.route, Backend{Tell: TellPROXY, TLSConfig: trusting()})
	f.Health = quietHealth()
	for range 20 {
		requireUnavailable(t, f)
	}
	require.Equal(t, Up, f.Health.List()[0].State)
	f.Backends = func(mapping.Route) Backend { return Backend{TLSConfig: trusting()} }
	for range 5 {
		requireUnavailable(t, f)
	}
	require.Equal(t, Down, f.Health.List()[0].State)
}
