package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
)

// heard is what a back end was told before it lost the connection.
type heard struct {
	mu     sync.Mutex
	octets bytes.Buffer
	state  tls.ConnectionState
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.octets.String()
}

func (h *heard) tls() tls.ConnectionState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// newTLSHost serves TLS, at once or after a line, says hello and notes what it
// is told.
func newTLSHost(t *testing.T, mode mapping.TLSMode, config *tls.Config) (*fakeHost, *heard) {
	t.Helper()
	h := &heard{}
	host := newFakeHost(t, func(nc net.Conn) {
		if mode == mapping.TLSStart {
			_, _ = io.WriteString(nc, "hello\r\n")
			_, _ = io.ReadFull(nc, make([]byte, len("STARTTLS\r\n")))
			_, _ = io.WriteString(nc, "begin\r\n")
		}
		layer := tls.Server(nc, config)
		if layer.Handshake() != nil {
			return
		}
		h.mu.Lock()
		h.state = layer.ConnectionState()
		h.mu.Unlock()
		_, _ = io.WriteString(layer, "hello\r\n")
		got, _ := io.ReadAll(layer)
		h.mu.Lock()
		h.octets.Write(got)
		h.mu.Unlock()
	})
	host.route.TLS = mode
	return host, h
}

// secure reaches a back end and secures the link as a protocol would, which
// sends its credentials then.
func secure(t *testing.T, f *Front) (*Link, error) {
	t.Helper()
	l, err := f.Reach(t.Context(), "alice", testClient())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { l.Close() })
	if l.Backend().TLS == mapping.TLSStart {
		startTLS(t, l)
		if err := l.StartTLS(t.Context()); err != nil {
			return nil, err
		}
	}
	_, err = l.WriteString("password\r\n")
	require.NoError(t, err)
	require.NoError(t, l.Flush())
	return l, nil
}

func startTLS(t *testing.T, l *Link) {
	t.Helper()
	line, err := l.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "hello\r\n", string(line))
	_, err = l.WriteString("STARTTLS\r\n")
	require.NoError(t, err)
	_, err = l.ReadLine(100)
	require.NoError(t, err)
}

var tlsModes = []mapping.TLSMode{mapping.TLSStart, mapping.TLSImplicit}

func trusting() *tls.Config {
	c := testcert.Client()
	c.ServerName = "" // the route's host is verified
	return c
}

func keyOf(c *tls.Config) [sha256.Size]byte {
	return sha256.Sum256(c.Certificates[0].Leaf.RawSubjectPublicKeyInfo)
}

func TestX08P17WrongCertificateEndsItBeforeAnyCredentials(t *testing.T) {
	old := testcert.Server()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	lowered := trusting()
	lowered.MinVersion = tls.VersionTLS10
	otherName := trusting()
	otherName.ServerName = "other.example.test"
	for name, c := range map[string]struct {
		server  *tls.Config
		backend Backend
	}{
		"not signed by the system's": {testcert.Server(), Backend{}},
		"another name":               {testcert.Server(), Backend{TLSConfig: otherName}},
		"another key than pinned":    {testcert.Server(), Backend{TLSConfig: trusting(), Pins: [][sha256.Size]byte{{1}}}},
		"TLS 1.1":                    {old, Backend{TLSConfig: lowered}},
	} {
		for _, mode := range tlsModes {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				host, heard := newTLSHost(t, mode, c.server)
				f := frontTo(host.route, c.backend)
				f.Health = quietHealth()
				_, err := secure(t, f)
				require.ErrorIs(t, err, ErrUnavailable)
				host.Close()
				require.Empty(t, heard.String())
				require.Equal(t, 1, f.Health.List()[0].Failures)
				require.Empty(t, f.slots.byHost)
			})
		}
	}
}

func TestP17BackEndIsVerifiedByRootsNameOrPin(t *testing.T) {
	localhost := trusting()
	localhost.ServerName = "localhost"
	for name, b := range map[string]Backend{
		"the route's host":    {TLSConfig: trusting()},
		"the configured name": {TLSConfig: localhost},
		"one of the pins":     {Pins: [][sha256.Size]byte{{1}, keyOf(testcert.Server())}},
	} {
		for _, mode := range tlsModes {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				host, heard := newTLSHost(t, mode, testcert.Server())
				l, err := secure(t, frontTo(host.route, b))
				require.NoError(t, err)
				line, err := l.ReadLine(100)
				require.NoError(t, err)
				require.Equal(t, "hello\r\n", string(line))
				require.NotNil(t, l.TLS())
				l.Close()
				require.Eventually(t, func() bool { return heard.String() == "password\r\n" }, waitFor, tick)
				require.GreaterOrEqual(t, heard.tls().Version, uint16(tls.VersionTLS12))
				if b.TLSConfig != localhost {
					require.Empty(t, heard.tls().ServerName, "no name is sent for an address")
				}
			})
		}
	}
}

func TestP17ClientCertificateIsShown(t *testing.T) {
	server := testcert.Server()
	server.ClientAuth = tls.RequireAnyClientCert
	host, heard := newTLSHost(t, mapping.TLSImplicit, server)
	config := trusting()
	config.Certificates = testcert.Server().Certificates
	l, err := secure(t, frontTo(host.route, Backend{TLSConfig: config}))
	require.NoError(t, err)
	_, err = l.ReadLine(100)
	require.NoError(t, err)
	l.Close()
	require.Len(t, heard.tls().PeerCertificates, 1)
}

func TestP17PlainOnlyWhereItIsAllowed(t *testing.T) {
	route := mapping.Route{Host: "192.0.2.1"}
	for _, c := range []struct{ route, backend, want mapping.TLSMode }{
		{mapping.TLSDefault, mapping.TLSDefault, mapping.TLSStart},
		{mapping.TLSDefault, mapping.TLSNone, mapping.TLSNone},
		{mapping.TLSImplicit, mapping.TLSNone, mapping.TLSImplicit},
		{mapping.TLSNone, mapping.TLSImplicit, mapping.TLSNone},
	} {
		route.TLS = c.route
		require.Equal(t, c.want, frontTo(route, Backend{TLS: c.backend}).backend(route).TLS)
	}
}

func TestPinsKeepWhatElseIsVerified(t *testing.T) {
	errOwn := errors.New("own check")
	host, _ := newTLSHost(t, mapping.TLSImplicit, testcert.Server())
	config := &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return errOwn }}
	_, err := secure(t, frontTo(host.route, Backend{TLSConfig: config, Pins: [][sha256.Size]byte{keyOf(testcert.Server())}}))
	require.ErrorIs(t, err, errOwn)
}

func TestOctetsBeforeTheHandshakeCloseTheLink(t *testing.T) {
	host := newFakeHost(t, func(nc net.Conn) {
		_, _ = io.WriteString(nc, "hello\r\n")
		_, _ = io.ReadFull(nc, make([]byte, len("STARTTLS\r\n")))
		_, _ = io.WriteString(nc, "begin\r\nOK logged in\r\n")
		_, _ = io.Copy(io.Discard, nc)
	})
	host.route.TLS = mapping.TLSStart
	l, err := frontTo(host.route, Backend{TLSConfig: trusting()}).Reach(t.Context(), "alice", testClient())
	require.NoError(t, err)
	startTLS(t, l)
	err = l.StartTLS(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, wire.ErrEarlyInput)
	_, err = l.nc.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}
