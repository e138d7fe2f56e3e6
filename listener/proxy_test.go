package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

const (
	v1Header = "PROXY TCP4 192.0.2.7 198.51.100.1 1234 143\r\n"
	loopback = "127.0.0.0/8"
)

func v2Header(t testing.TB, source, destination string, tlvs ...proxyproto.TLV) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, tcpAddr(source), tcpAddr(destination))
	require.NoError(t, h.SetTLVs(tlvs))
	octets, err := h.Format()
	require.NoError(t, err)
	return string(octets)
}

func tcpAddr(s string) net.Addr {
	if s == "" {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))
}

// accepted sends octets to a listener and returns what it accepts.
func accepted(t *testing.T, l *Listener, octets string) *Conn {
	t.Helper()
	_, err := io.WriteString(dial(t, l), octets)
	require.NoError(t, err)
	nc, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc.(*Conn)
}

func requireSends(t *testing.T, nc net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestX01P21HeaderOfATrustedProxyTellsTheAddresses(t *testing.T) {
	l := listen(t, Config{Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback)})
	for _, header := range []string{v1Header, v2Header(t, "192.0.2.7:1234", "198.51.100.1:143")} {
		c := accepted(t, l, header+"hello")
		require.Equal(t, "192.0.2.7:1234", c.RemoteAddr().String())
		require.Equal(t, "198.51.100.1:143", c.LocalAddr().String())
		require.True(t, c.Proxied().Told)
		require.Equal(t, "127.0.0.1", c.Proxied().Through.Addr().String())
		requireSends(t, c, "hello")
	}
}

func TestX01P21HeaderFromElsewhereIsRefusedWhereOneIsRequired(t *testing.T) {
	l := listen(t, Config{Proxy: ProxyRequired, ProxyFrom: MustParseIPSet("10.0.0.0/8")})
	nc := dial(t, l)
	_, _ = io.WriteString(nc, v1Header)
	requireRefused(t, nc)
}

func TestX01P21HeaderFromElsewhereIsInputWhereOneIsOptional(t *testing.T) {
	l := listen(t, Config{Proxy: ProxyOptional, ProxyFrom: MustParseIPSet("10.0.0.0/8")})
	c := accepted(t, l, v1Header)
	require.Equal(t, "127.0.0.1", addrOf(c.RemoteAddr()).String())
	require.Nil(t, ProxiedOf(c))
	requireSends(t, c, v1Header) // no protocol knows it as a command
}

func TestX01BadHeadersAreRefused(t *testing.T) {
	long := v2Header(t, "192.0.2.7:1234", "198.51.100.1:143")
	binary := func(tail string) string { // a header whose extensions are these octets
		b := []byte(long + tail)
		b[15] += byte(len(tail))
		return string(b)
	}
	for name, octets := range map[string]string{
		"missing":                     "EHLO there\r\n",
		"TLS instead":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"version 1, 107 and no CR LF": "PROXY TCP4 " + strings.Repeat("1", 96),
		"version 1 with a bare LF":    "PROXY TCP4 192.0.2.7 198.51.100.1 1234 143\n",
		"version 1, bad address":      "PROXY TCP4 192.0.2.777 198.51.100.1 1234 143\r\n",
		"version 1, bad port":         "PROXY TCP4 192.0.2.7 198.51.100.1 123456 143\r\n",
		"version 1, wrong family":     "PROXY TCP6 192.0.2.7 198.51.100.1 1234 143\r\n",
		"version 2, length 65,535":    long[:14] + "\xff\xff" + strings.Repeat("x", 5000),
		"version 2, too short":        long[:14] + "\x00\x04abcd",
		"version 2, bad signature":    "\r\n\r\n\x00\r\nQUIT!" + long[12:],
		"version 2, bad command":      long[:12] + "\x2f" + long[13:],
		"extension cut off":           binary("\x05\x00\x09abc"),
		"extension of two octets":     binary("\x05\x00"),
		"unique id too long":          binary("\x05\x00\x81" + strings.Repeat("u", 129)),
		"TLS extension malformed":     binary("\x20\x00\x06\x01\x00\x00\x00\x00\x21"),
		"hops of 0":                   binary("\xe7\x00\x01\x00"),
		"wrong checksum":              binary("\x03\x00\x04abcd"),
		"checksum of two octets":      binary("\x03\x00\x02ab"),
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, Config{Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback)})
			nc := dial(t, l)
			_, _ = io.WriteString(nc, octets)
			requireRefused(t, nc)
		})
	}
}

func TestRightChecksumIsAccepted(t *testing.T) {
	b := []byte(v2Header(t, "192.0.2.7:1234", "198.51.100.1:143", proxyproto.TLV{Type: proxyproto.PP2_TYPE_CRC32C, Value: make([]byte, 4)}))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	o, err := parseHeader(b)
	require.NoError(t, err)
	require.True(t, o.Told)
}

func TestX01UnknownAndLocalMeanTheAddressOfTheSocket(t *testing.T) {
	l := listen(t, Config{Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback)})
	for _, header := range []string{"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", v2Header(t, "", "")} {
		c := accepted(t, l, header)
		require.Equal(t, "127.0.0.1", addrOf(c.RemoteAddr()).String())
		require.False(t, c.Proxied().Told)
	}
}

var silent = slog.New(slog.DiscardHandler)

// pipes is a listener without a network, for tests with a clock of their own.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if nc, ok := <-p; ok {
		return nc, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return tcpAddr("198.51.100.1:143") }

type pipeConn struct {
	net.Conn
	remote string
}

func (p pipeConn) RemoteAddr() net.Addr { return tcpAddr(p.remote) }

// connect returns the client's end of a new connection.
func (p pipes) connect(remote string) net.Conn {
	client, server := net.Pipe()
	p <- pipeConn{server, remote}
	return client
}

func TestX01P21HalfAHeaderAndThenSilenceIsClosedAfter3Seconds(t *testing.T) {
	for _, half := range []string{"PROXY TCP4 192.", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0", "P"} {
		for _, mode := range []ProxyMode{ProxyOptional, ProxyRequired} {
			synctest.Test(t, func(t *testing.T) {
				inner := make(pipes)
				l := Wrap(inner, Config{Logger: silent, Proxy: mode, ProxyFrom: MustParseIPSet("10.0.0.1")})
				defer l.Close()
				stalled := inner.connect("10.0.0.1:1")
				defer stalled.Close()
				began := time.Now()
				_, err := io.WriteString(stalled, half)
				require.NoError(t, err)

				// meanwhile others are accepted
				other := inner.connect("10.0.0.1:2")
				defer other.Close()
				go func() { _, _ = io.WriteString(other, v1Header) }()
				nc, err := l.Accept()
				require.NoError(t, err)
				nc.Close()

				requireRefused(t, stalled)
				require.Equal(t, 3*time.Second, time.Since(began))
			})
		}
	}
}

func TestWhereTheHeaderIsOptionalATrustedPeerMayBeSilentOrSpeakAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := make(pipes)
		l := Wrap(inner, Config{Logger: silent, Proxy: ProxyOptional, ProxyFrom: MustParseIPSet("10.0.0.1")})
		defer l.Close()
		for early, wait := range map[string]time.Duration{"": headerTimeout, "NOOP\r\n": 0, "PROP?": 0} {
			began := time.Now()
			client := inner.connect("10.0.0.1:1")
			written := make(chan struct{})
			go func() { _, _ = io.WriteString(client, early); close(written) }()
			nc, err := l.Accept()
			require.NoError(t, err)
			require.Equal(t, wait, time.Since(began))
			require.False(t, ProxiedOf(nc).Told)
			requireSends(t, nc, early)
			<-written
			client.Close()
			nc.Close()
		}
	})
}

func TestConnectionsThatWaitForTheirHeaderAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := make(pipes)
		l := Wrap(inner, Config{Logger: silent, Proxy: ProxyRequired, ProxyFrom: MustParseIPSet("10.0.0.0/8")})
		defer l.Close()
		var clients []net.Conn
		defer func() {
			for _, c := range clients {
				c.Close()
			}
		}()
		for range maxPending {
			clients = append(clients, inner.connect("10.0.0.1:1"))
		}
		refused := inner.connect("10.0.0.1:1")
		began := time.Now()
		requireRefused(t, refused)
		require.Zero(t, time.Since(began))

		other := inner.connect("10.0.0.2:1") // another proxy is not refused
		clients = append(clients, other)
		_, err := io.WriteString(other, v1Header)
		require.NoError(t, err)
		nc, err := l.Accept()
		require.NoError(t, err)
		nc.Close()
		time.Sleep(2 * headerTimeout)
		l.pending.mu.Lock()
		defer l.pending.mu.Unlock()
		require.Empty(t, l.pending.byProxy)
	})
}

func TestP21RulesAndLimitsAreAppliedToTheAddressThatTheHeaderTells(t *testing.T) {
	l := listen(t, Config{
		Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback),
		Rules:  []Rule{rule(Deny, 1, "192.0.2.0/24"), rule(Deny, 1, loopback)},
		Limits: Limits{PeerConnections: 1},
	})
	denied := dial(t, l)
	_, _ = io.WriteString(denied, v1Header)
	requireRefused(t, denied)

	first := v2Header(t, "203.0.113.1:1", "198.51.100.1:143")
	accepted(t, l, first) // though the proxy itself is denied
	accepted(t, l, v2Header(t, "203.0.113.2:1", "198.51.100.1:143"))
	again := dial(t, l)
	_, _ = io.WriteString(again, first)
	requireRefused(t, again)
}

// TestP21ALoadBalancerIsNoClient has it check more often than a client may
// connect, and pass clients on whom it can't tell: they are not one peer.
func TestP21ALoadBalancerIsNoClient(t *testing.T) {
	l := listen(t, Config{
		Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback),
		Limits: Limits{Connections: 6, PeerConnections: 1, PeerNew: 1},
	})
	for _, header := range []string{v2Header(t, "", ""), "PROXY UNKNOWN\r\n"} {
		accepted(t, l, header)
		accepted(t, l, header)
	}
	accepted(t, l, v1Header)
	again := dial(t, l)
	_, _ = io.WriteString(again, v1Header)
	requireRefused(t, again)

	accepted(t, l, v2Header(t, "", "")) // the sixth: all peers together are bounded
	seventh := dial(t, l)
	_, _ = io.WriteString(seventh, v2Header(t, "", ""))
	requireRefused(t, seventh)
}

// TestP21WhoOnlyLooksWhetherSomebodyListensIsNotLogged, however he goes.
func TestP21WhoOnlyLooksWhetherSomebodyListensIsNotLogged(t *testing.T) {
	var log strings.Builder // one connection at a time, and Close waits for all
	l := Wrap(mustListen(t), Config{
		Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for _, linger := range []int{-1, 0} { // an end, a reset
		nc := dial(t, l)
		require.NoError(t, nc.(*net.TCPConn).SetLinger(linger))
		require.NoError(t, nc.Close())
	}
	accepted(t, l, v1Header) // who came before was judged before, or is waited for
	require.NoError(t, l.Close())
	require.Empty(t, log.String())
}

func mustListen(t *testing.T) net.Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return inner
}

func TestS19TheAddressOfAProxyIsNeverThatOfATrustedClient(t *testing.T) {
	for _, mode := range []ProxyMode{ProxyOptional, ProxyRequired} {
		l := listen(t, Config{
			Proxy: mode, ProxyFrom: MustParseIPSet(loopback),
			Rules: []Rule{rule(Allow, 1, loopback), rule(Deny, 2, "0.0.0.0-255.255.255.255")},
		})
		for _, octets := range []string{
			"PROXY UNKNOWN\r\n", v2Header(t, "", ""), "EHLO there\r\n",
			"PROXY TCP4 127.0.0.9 198.51.100.1 1234 143\r\n", // another proxy, which told nothing to this one
		} {
			nc := dial(t, l)
			_, _ = io.WriteString(nc, octets)
			requireRefused(t, nc)
		}
	}
}

func TestHeaderComesBeforeTLSAndTellsOfTheProxysOwn(t *testing.T) {
	l := listen(t, Config{TLS: testcert.Server(), Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback)})
	ssl := "\x07\x00\x00\x00\x00" + "\x21\x00\x07TLSv1.3" + "\x22\x00\x05alice" + "\x23\x00\x03AES"
	nc := dial(t, l)
	_, err := io.WriteString(nc, v2Header(t, "[2001:db8::7]:1234", "[2001:db8::1]:993",
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: []byte("abc123")},
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("mail.example.test")},
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: []byte("padding")},
		proxyproto.TLV{Type: 0xEE, Value: []byte{1}},
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte(ssl)},
		proxyproto.TLV{Type: ProxyHops, Value: []byte{5}}))
	require.NoError(t, err)
	client := tls.Client(nc, testcert.Client())
	go func() { _, _ = io.WriteString(client, "hello") }()
	got, err := l.Accept()
	require.NoError(t, err)
	defer got.Close()
	requireSends(t, got, "hello")
	require.Equal(t, "[2001:db8::7]:1234", got.RemoteAddr().String())
	p := ProxiedOf(got)
	require.Equal(t, "abc123", p.UniqueID)
	require.Equal(t, "mail.example.test", p.Authority)
	require.Equal(t, 5, p.Hops)
	require.Equal(t, &ProxiedTLS{Version: "TLSv1.3", Cipher: "AES", CommonName: "alice", Verified: true}, p.TLS)
}

func TestCloseEndsTheWaitForAHeader(t *testing.T) {
	l := listen(t, Config{Proxy: ProxyRequired, ProxyFrom: MustParseIPSet(loopback)})
	nc := dial(t, l)
	require.NoError(t, l.Close())
	requireRefused(t, nc)
}

// dripping hands out so many octets at a time.
type dripping struct {
	io.Reader
	n int
}

func (d dripping) Read(p []byte) (int, error) { return d.Reader.Read(p[:min(len(p), d.n)]) }

// FuzzProxyHeader proves that a header is taken off exactly, however it is cut
// up, and that what is told is fit for logs and lines.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte(v1Header+"tail"), byte(1))
	f.Add([]byte("PROXY UNKNOWN\r\n"), byte(3))
	f.Add([]byte(v2Header(f, "192.0.2.7:1234", "198.51.100.1:143",
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte("\x07\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x05alice")},
		proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: []byte("abc")}, proxyproto.TLV{Type: ProxyHops, Value: []byte{5}})+"tail"), byte(7))
	f.Add([]byte(v2Header(f, "", "")), byte(20))
	f.Fuzz(func(t *testing.T, octets []byte, n byte) {
		in := bytes.NewReader(octets)
		h, err := readHeader(dripping{in, int(n)%64 + 1})
		require.Equal(t, octets[:len(octets)-in.Len()], h)
		require.LessOrEqual(t, len(h), v2Fixed+v2Max)
		if err != nil {
			return
		}
		o, err := parseHeader(h)
		if err != nil {
			return
		}
		require.Equal(t, o.Told, o.remote != nil && o.local != nil)
		require.LessOrEqual(t, len(o.UniqueID), uniqueMax)
		for _, s := range []string{o.UniqueID, o.Authority} {
			require.Equal(t, s, printable(s))
		}
	})
}
