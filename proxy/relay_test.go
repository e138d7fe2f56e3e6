package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
)

// linkTo connects to a back end as Reach does.
func linkTo(nc net.Conn, b Backend) *Link {
	return &Link{Conn: wire.New(nc, wire.Timeouts{}), nc: nc, backend: b.withDefaults(mapping.Route{})}
}

// ends returns the two ends of a connection over loopback.
func ends(t testing.TB) (far, near net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	far, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	near, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, far.SetDeadline(time.Now().Add(5*time.Minute)))
	t.Cleanup(func() { far.Close(); near.Close() })
	return far, near
}

func say(t testing.TB, nc net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(nc, text)
	require.NoError(t, err)
}

func hear(t testing.TB, nc net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestP13CommandsAfterTheLoginReachTheBackEndInOrder(t *testing.T) {
	client, nearClient := ends(t)
	back, nearBack := ends(t)
	c, l := wire.New(nearClient, wire.Timeouts{}), linkTo(nearBack, Backend{})
	say(t, client, "a1 LOGIN u p\r\na2 APPEND x {3+}\r\nabc\r\na3 SELECT x\r\n")
	line, err := c.ReadLine(100)
	require.NoError(t, err)
	_, err = l.Write(line)
	require.NoError(t, err)
	require.NoError(t, l.Flush())
	hear(t, back, "a1 LOGIN u p\r\n")
	say(t, back, "a1 OK in\r\n* 3 EXISTS\r\n")
	line, err = l.ReadLine(100)
	require.NoError(t, err)
	_, err = c.Write(line) // not flushed: Relay does
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() { done <- l.Relay(context.Background(), c) }()
	hear(t, back, "a2 APPEND x {3+}\r\nabc\r\na3 SELECT x\r\n")
	hear(t, client, "a1 OK in\r\n* 3 EXISTS\r\n")
	back.Close()
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	client.Close()
	require.NoError(t, <-done)
}

var errKicked = errors.New("kicked")

func TestX11RelayEndsWithItsContext(t *testing.T) {
	client, nearClient := ends(t)
	back, nearBack := ends(t)
	ctx, kick := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- linkTo(nearBack, Backend{}).Relay(ctx, wire.New(nearClient, wire.Timeouts{})) }()
	say(t, client, "x")
	hear(t, back, "x")
	kick(errKicked)
	require.ErrorIs(t, <-done, errKicked)
	for _, nc := range []net.Conn{client, back} {
		_, err := nc.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestX11AKickCutsTheClientThoughTheBackEndLingers(t *testing.T) {
	for name, wait := range map[string]time.Duration{"just now": 0, "idle": 1500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			client, nearClient := ends(t)
			back, nearBack := ends(t)
			s := &Sessions{Farewell: time.Minute}
			k, err := s.admit(t.Context(), s.visit("alice", Client{Protocol: IMAP}), mapping.Route{Host: "a"})
			require.NoError(t, err)
			l := linkTo(k.hold(nearBack), Backend{})
			l.seat = k
			done := make(chan error, 1)
			go func() { done <- l.Relay(t.Context(), wire.New(nearClient, wire.Timeouts{})) }()
			say(t, client, "x")
			hear(t, back, "x")
			time.Sleep(wait) // so that it has settled

			k.kick()
			_, err = client.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			_, err = back.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			select {
			case <-k.left():
				require.Fail(t, "the back end has not ended yet")
			case <-time.After(1500 * time.Millisecond):
			}
			say(t, back, "* BYE\r\n")
			back.Close()
			<-k.left()
			require.ErrorIs(t, <-done, ErrKicked)
		})
	}
}

// sessions are clients of a pool that hands each session over to a back end.
type sessions struct {
	pool    front.Pool
	clients []net.Conn
	backs   []net.Conn
	done    chan error
}

func handedOver(t *testing.T, n int) *sessions {
	t.Helper()
	s := &sessions{done: make(chan error, n)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	backs := make(chan net.Conn, n)
	go func() {
		defer close(served)
		_ = s.pool.Serve(context.Background(), l, wire.Timeouts{}, func(ctx context.Context, c *wire.Conn) {
			back, near := ends(t)
			linkTo(near, Backend{}).HandOver(ctx, c, func(err error) { s.done <- err })
			backs <- back
		})
	}()
	t.Cleanup(func() {
		s.pool.Close()
		<-served
	})
	for range n {
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
		t.Cleanup(func() { nc.Close() })
		s.clients, s.backs = append(s.clients, nc), append(s.backs, <-backs)
		say(t, nc, "a1 NOOP\r\n")
		hear(t, s.backs[len(s.backs)-1], "a1 NOOP\r\n")
		say(t, s.backs[len(s.backs)-1], "a1 OK\r\n")
		hear(t, nc, "a1 OK\r\n")
	}
	return s
}

func TestP32AnIdleSessionHasTwoGoroutinesAtMost(t *testing.T) {
	const n = 50
	before := runtime.NumGoroutine()
	s := handedOver(t, n)
	require.Equal(t, n, s.pool.Len())
	require.Eventually(t, func() bool { // the listener's, the watch, and those of the test
		return runtime.NumGoroutine() <= before+2*n+5
	}, time.Minute, time.Millisecond)
	stacks := make([]byte, 1<<20)
	require.NotContains(t, string(stacks[:runtime.Stack(stacks, true)]), "front.(*Pool).run(")
}

func TestX16ShutdownEndsIdleSessionsThatWereHandedOver(t *testing.T) {
	s := handedOver(t, 10)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, s.pool.Shutdown(ctx))
	for i := range s.clients {
		require.ErrorIs(t, <-s.done, wire.ErrInterrupted)
		_, err := s.clients[i].Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestX16ShutdownLeavesATransferAndCloseCutsIt(t *testing.T) {
	s := handedOver(t, 1)
	say(t, s.clients[0], "a2 FETCH 1 BODY[]\r\n")
	hear(t, s.backs[0], "a2 FETCH 1 BODY[]\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	require.ErrorIs(t, s.pool.Shutdown(ctx), context.DeadlineExceeded)
	say(t, s.backs[0], "a2 OK\r\n")
	hear(t, s.clients[0], "a2 OK\r\n")
	require.NoError(t, s.pool.Close())
	require.ErrorIs(t, <-s.done, context.Canceled)
	require.NoError(t, s.pool.Shutdown(context.Background()))
}
