package listener

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, c Config) *Listener {
	t.Helper()
	c.Address = "127.0.0.1:0"
	l, err := Listen(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

// requireRefused proves that the server closed without sending an octet.
func requireRefused(t *testing.T, nc net.Conn) {
	t.Helper()
	n, err := nc.Read(make([]byte, 1))
	require.Zero(t, n)
	require.Error(t, err)
}

func TestDeniedConnectionIsClosedBeforeAnyOctet(t *testing.T) {
	l := listen(t, Config{Rules: []Rule{rule(Deny, 1, "127.0.0.0/8")}})
	requireRefused(t, dial(t, l))
}

func TestLimitRefusesTheNextConnectionAndRecovers(t *testing.T) {
	l := listen(t, Config{Limits: Limits{PeerConnections: 1}})
	dial(t, l)
	first, err := l.Accept()
	require.NoError(t, err)
	requireRefused(t, dial(t, l))
	require.NoError(t, first.Close())
	_ = first.Close() // counts out once only
	dial(t, l)
	second, err := l.Accept()
	require.NoError(t, err)
	defer second.Close()
	requireRefused(t, dial(t, l))
}

func TestTLSHandshakeIsDoneBeforeAccept(t *testing.T) {
	l := listen(t, Config{TLS: testcert.Server()})
	client := tls.Client(dial(t, l), testcert.Client())
	go func() { _, _ = io.WriteString(client, "hello") }()
	nc, err := l.Accept()
	require.NoError(t, err)
	defer nc.Close()
	got := make([]byte, 5)
	_, err = io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func TestS23SilentClientInTheTLSHandshakeIsClosedAndDelaysNobody(t *testing.T) {
	l := listen(t, Config{TLS: testcert.Server(), HandshakeTimeout: 200 * time.Millisecond})
	silent := dial(t, l)
	client := tls.Client(dial(t, l), testcert.Client())
	go func() { _ = client.Handshake() }()
	nc, err := l.Accept()
	require.NoError(t, err)
	defer nc.Close()
	requireRefused(t, silent)
}

func TestCloseEndsAcceptAndHandshakes(t *testing.T) {
	l := listen(t, Config{TLS: testcert.Server()})
	dial(t, l)
	done := make(chan error, 1)
	go func() { _, err := l.Accept(); done <- err }()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
}
