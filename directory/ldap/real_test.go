package ldap

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func startSlapd(t *testing.T, o realtest.SlapdOptions) *realtest.Slapd {
	t.Helper()
	realtest.Require(t, "slapd")
	s, err := realtest.StartSlapd(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// atSlapd is a configuration for some servers, whose passwords nobody reads.
func atSlapd(uris ...string) Config {
	return Config{
		Type: OpenLDAP, URIs: uris, Base: realtest.SlapdBase,
		Filter: "(|(mail=%e)(mailLocalAddress=%e)(uid=%u))",
		BindDN: realtest.SlapdReader, BindPassword: realtest.SlapdReaderPassword,
		Timeout: 20 * time.Second, // of a loaded machine
	}
}

func connectReal(t *testing.T, c Config) *Connector {
	t.Helper()
	connector, err := New(c)
	require.NoError(t, err)
	t.Cleanup(func() { connector.Close() })
	return connector
}

// long is how long something may take on a machine that is busy.
const long = time.Minute

// gate is a relay before a server that can be shut and opened again.
type gate struct {
	address, server string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
	relays   sync.WaitGroup
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	g := &gate{address: address, server: server}
	g.Open(t)
	t.Cleanup(g.Shut)
	return g
}

// Open lets clients in.
func (g *gate) Open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.address)
	require.NoError(t, err)
	g.listener = l
	g.relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.relays.Go(func() { g.relay(client) })
		}
	})
}

func (g *gate) relay(client net.Conn) {
	server, err := net.Dial("tcp", g.server)
	if err != nil {
		client.Close()
		return
	}
	g.mu.Lock()
	g.open = append(g.open, client, server)
	g.mu.Unlock()
	g.relays.Go(func() { _, _ = io.Copy(server, client); server.Close() })
	_, _ = io.Copy(client, server)
	client.Close()
}

// Shut ends all connections and lets nobody in.
func (g *gate) Shut() {
	g.listener.Close()
	g.mu.Lock()
	for _, nc := range g.open {
		nc.Close()
	}
	g.open = nil
	g.mu.Unlock()
	g.relays.Wait()
}

// followed is a Watch that runs.
type followed struct {
	t       *testing.T
	changes chan Change
	cancel  context.CancelFunc
	err     error         // of Watch
	ended   chan struct{} // when it is there
}

// follow starts a Watch and waits until it follows.
func follow(t *testing.T, c *Connector) *followed {
	t.Helper()
	f := startWatch(t, c)
	require.True(t, f.next().All, "the first call")
	return f
}

func startWatch(t *testing.T, c *Connector) *followed {
	ctx, cancel := context.WithCancel(t.Context())
	f := &followed{t: t, changes: make(chan Change, 10_000), cancel: cancel, ended: make(chan struct{})}
	go func() {
		f.err = c.Watch(ctx, func(c Change) { f.changes <- c })
		close(f.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-f.ended
	})
	return f
}

func (f *followed) next() Change {
	f.t.Helper()
	select {
	case c := <-f.changes:
		return c
	case <-f.ended:
		require.NoError(f.t, f.err, "Watch ended")
	case <-time.After(long):
		require.Fail(f.t, "nothing was told")
	}
	return Change{}
}
