package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/listener"
)

// serveProxy runs a proxy that logs everybody in as the user whom his first
// line names, and then relays.
func (c *cluster) serveProxy(t *testing.T, l net.Listener) *front.Pool {
	t.Helper()
	p, done := &front.Pool{}, make(chan error, 1)
	go func() {
		done <- p.Serve(context.Background(), l, wire.Timeouts{}, func(ctx context.Context, conn *wire.Conn) {
			line, err := conn.ReadLine(100)
			if err != nil {
				return
			}
			link, _, err := c.login(ctx, strings.TrimSpace(string(line)))
			if err != nil {
				return
			}
			_, _ = conn.WriteString("OK\r\n")
			_ = link.Relay(ctx, conn)
		})
	}()
	t.Cleanup(func() { p.Close(); require.ErrorIs(t, <-done, front.ErrStopped) })
	return p
}

// logIn connects to such a proxy.
func logIn(t *testing.T, address, user string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(2*time.Minute)))
	say(t, nc, user+"\r\n")
	hear(t, nc, "OK\r\n")
	return nc
}

func TestX16DrainEndsIdleSessionsAndLetsTransfersFinish(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := c.serveProxy(t, l)
	address := l.Addr().String()
	idle, busy := logIn(t, address, "alice"), logIn(t, address, "alice")
	var stop atomic.Bool
	var moved atomic.Int64
	transferred := make(chan error, 1)
	go func() { // what is sent comes back
		for !stop.Load() {
			if _, err := io.WriteString(busy, "x"); err != nil {
				transferred <- err
				return
			}
			if _, err := io.ReadFull(busy, make([]byte, 1)); err != nil {
				transferred <- err
				return
			}
			moved.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
		transferred <- nil
	}()
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() { drained <- p.Shutdown(ctx) }()
	_, err = io.ReadAll(idle)
	require.NoError(t, err, "ends in order")
	before := moved.Load()
	require.Eventually(t, func() bool { return moved.Load() > before+20 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, p.Len())
	_, err = net.Dial("tcp", address)
	require.Error(t, err, "new sessions go elsewhere")
	stop.Store(true)
	require.NoError(t, <-transferred)
	require.NoError(t, <-drained, "it ends when it is idle")
	c.empty(t)
}

func TestX16DrainCutsTransfersAtTheDeadline(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := c.serveProxy(t, l)
	busy := logIn(t, l.Addr().String(), "alice")
	go func() { // sends until it is cut
		for {
			if _, err := io.WriteString(busy, "x"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Shutdown(ctx), context.DeadlineExceeded)
	require.NoError(t, p.Close())
	_, _ = io.ReadAll(busy)
	require.Eventually(t, func() bool { return p.Len() == 0 }, time.Minute, time.Millisecond)
	c.empty(t)
}

func TestP38WhoComesBackIsBoundedByTheListener(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	const limit = 30
	l, err := listener.Listen(t.Context(), listener.Config{
		Address: "127.0.0.1:0", Limits: listener.Limits{NewConnections: limit, Interval: time.Hour},
	})
	require.NoError(t, err)
	c.serveProxy(t, l)
	for range limit / 2 {
		logIn(t, l.Addr().String(), "alice")
	}
	n, err := c.Sessions.Kick(t.Context(), everyone, 10*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, limit/2, n)
	served := 0
	for range limit { // all come back at once, and again
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer nc.Close()
		_, _ = io.WriteString(nc, "alice\r\n")
		if _, err := io.ReadFull(nc, make([]byte, 4)); err == nil {
			served++
		}
	}
	require.Equal(t, limit/2, served)
}

func TestKickReachesThoseWhoAreRelayed(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.serveProxy(t, l)
	nc := logIn(t, l.Addr().String(), "alice")
	n, err := c.Sessions.Kick(t.Context(), everyone, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = io.ReadAll(nc)
	require.NoError(t, err)
}
