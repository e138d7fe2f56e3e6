package front

import (
	"context"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a pool whose sessions echo lines and say goodbye when stopped.
func serve(t *testing.T, p *Pool) (address string, done chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done = make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l, wire.Timeouts{}, echo) }()
	return l.Addr().String(), done
}

func echo(_ context.Context, c *wire.Conn) {
	for {
		line, err := c.ReadLine(100)
		switch {
		case err == wire.ErrInterrupted:
			_, _ = c.WriteString("bye\r\n")
			_ = c.Flush()
			return
		case err != nil:
			return
		case string(line) == "panic\r\n":
			panic("as asked")
		}
		_, _ = c.Write(line)
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

func ask(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(nc, s)
	require.NoError(t, err)
	got := make([]byte, len(s))
	_, err = io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, s, string(got))
}

func TestShutdownAsksIdleSessionsToEnd(t *testing.T) {
	var p Pool
	address, done := serve(t, &p)
	nc := dial(t, address)
	ask(t, nc, "hello\r\n")
	require.Equal(t, 1, p.Len())
	require.NoError(t, p.Shutdown(context.Background()))
	rest, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, "bye\r\n", string(rest))
	require.ErrorIs(t, <-done, ErrStopped)
	require.Zero(t, p.Len())
}

func TestCloseAfterAShutdownThatTookTooLongCutsSessions(t *testing.T) {
	var p Pool
	address, done := serve(t, &p)
	nc := dial(t, address)
	ask(t, nc, "hello\r\n")
	_, err := io.WriteString(nc, "begun") // a line that never ends holds the session
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		return p.Shutdown(ctx) == context.DeadlineExceeded || p.Len() == 0
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, p.Close())
	_, err = io.ReadAll(nc)
	_ = err // reset or end: either way it is over
	require.ErrorIs(t, <-done, ErrStopped)
}

func TestServeAfterShutdownIsRefused(t *testing.T) {
	var p Pool
	require.NoError(t, p.Shutdown(context.Background()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, p.Serve(context.Background(), l, wire.Timeouts{}, echo), ErrStopped)
}

func TestPanicEndsOneSessionOnly(t *testing.T) {
	var p Pool
	address, done := serve(t, &p)
	other, nc := dial(t, address), dial(t, address)
	ask(t, other, "hello\r\n")
	_, err := io.WriteString(nc, "panic\r\n")
	require.NoError(t, err)
	_, _ = io.ReadAll(nc)
	ask(t, other, "still here\r\n")
	require.NoError(t, p.Close())
	<-done
}

// flaky fails its first Accepts as a system out of descriptors does.
type flaky struct {
	net.Listener
	failures atomic.Int32
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: io.ErrShortBuffer}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsDoNotEndTheServer(t *testing.T) {
	var p Pool
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &flaky{Listener: l}
	f.failures.Store(3)
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), f, wire.Timeouts{}, echo) }()
	ask(t, dial(t, l.Addr().String()), "hello\r\n")
	require.NoError(t, p.Close())
	require.ErrorIs(t, <-done, ErrStopped)
}

func TestNewIDsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		id := NewID()
		require.Len(t, id, 10)
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestGuardAllowsSomeFailures(t *testing.T) {
	g := Guard{Max: 3, Delay: -1}
	require.True(t, g.Failed(context.Background()))
	require.True(t, g.Failed(context.Background()))
	require.False(t, g.Failed(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.False(t, (&Guard{}).Failed(ctx), "nobody waits for a session that ended")
}

func TestCloseEndsTheContextOfEverySession(t *testing.T) {
	p := new(Pool)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served, ended := make(chan error, 1), make(chan struct{})
	go func() {
		served <- p.Serve(context.Background(), l, wire.Timeouts{}, func(ctx context.Context, c *wire.Conn) {
			_, _ = c.ReadLine(100)
			_, _ = c.ReadLine(100)
			<-ctx.Done() // as a hook that waits for somebody else would
			close(ended)
		})
	}()
	nc := dial(t, l.Addr().String())
	_, err = io.WriteString(nc, "x\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.Len() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, p.Close())
	<-ended
	require.ErrorIs(t, <-served, ErrStopped)
}

func TestP38SessionsAreAskedToEndAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		for name, c := range map[string]struct{ drain, over time.Duration }{
			"a hundred a second":           {time.Hour, 9 * time.Second},
			"in half of the time there is": {10 * time.Second, 5 * time.Second},
		} {
			var p Pool
			var ended [n]time.Duration
			start := time.Now()
			for i := range n {
				near, far := net.Pipe()
				p.begin(t.Context(), wire.New(near, wire.Timeouts{Idle: 2 * time.Hour}), func(_ context.Context, c *wire.Conn) {
					defer far.Close()
					_, _ = c.ReadLine(10)
					ended[i] = time.Since(start)
				})
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.drain)
			require.NoError(t, p.Shutdown(ctx), name)
			cancel()
			synctest.Wait()
			slices.Sort(ended[:])
			require.Zero(t, ended[atOnce-1], name)
			require.Equal(t, c.over, ended[n-1].Round(time.Millisecond), name)
			for i := atOnce; i < n; i++ {
				require.InDelta(t, c.over*time.Duration(i-atOnce)/(n-atOnce), ended[i], float64(100*time.Millisecond), name)
			}
		}
	})
}

func TestX16WhoWasAcceptedIsServedBeforeTheEnd(t *testing.T) {
	var p Pool
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &late{Listener: inner, taken: make(chan struct{}), stopped: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l, wire.Timeouts{}, echo) }()
	nc := dial(t, inner.Addr().String())
	<-l.taken
	require.NoError(t, p.Shutdown(context.Background()))
	said, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, "bye\r\n", string(said))
	require.ErrorIs(t, <-done, ErrStopped)
}

// late hands out what it has accepted when it was stopped.
type late struct {
	net.Listener
	taken, stopped chan struct{}
}

func (l *late) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		close(l.taken)
		<-l.stopped
	}
	return nc, err
}

func (l *late) Stop() {
	l.Listener.Close()
	close(l.stopped)
}
