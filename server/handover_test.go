package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/listener"
)

// greeter is an engine that greets with the name of its process, echoes lines,
// and says goodbye when it is asked to stop.
type greeter struct {
	front.Pool
	name string
}

func (g *greeter) Serve(ctx context.Context, l net.Listener) error {
	return g.Pool.Serve(ctx, l, wire.Timeouts{}, func(_ context.Context, c *wire.Conn) {
		_, _ = c.WriteString(g.name + "\r\n")
		for {
			line, err := c.ReadLine(100)
			if err != nil {
				_, _ = c.WriteString("bye\r\n")
				c.Linger(time.Second, 1000)
				return
			}
			_, _ = c.Write(line)
		}
	})
}

// serveGreeter runs a greeter until ctx ends.
func serveGreeter(ctx context.Context, name, address string, sockets *listener.Sockets, ready func(bound net.Addr)) error {
	var bound net.Addr
	p := &Protocol{
		Title: name, Engine: func() Engine { return &greeter{name: name} }, Drain: time.Minute,
		Listeners: []listener.Config{{Address: address, Sockets: sockets}},
		Bound:     func(l *listener.Listener) { bound = l.Addr() },
	}
	s := &Server{Services: []Service{p}, StopTimeout: time.Minute}
	return s.Run(ctx, func() { ready(bound) })
}

const childAddress = "POSTHOUSE_TEST_ADDRESS"

// TestSuccessor is the second process of the test that follows. It serves until
// its standard input ends.
func TestSuccessor(t *testing.T) {
	address := os.Getenv(childAddress)
	if address == "" {
		t.Skip("is run by TestP39")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	sockets, err := listener.Inherited()
	require.NoError(t, err)
	require.NoError(t, serveGreeter(ctx, "second", address, sockets, func(net.Addr) {
		require.NoError(t, sockets.Ready())
	}))
}

// visitors connect one after the other, several at a time, and count who has
// answered them and what went wrong.
type visitors struct {
	address       string
	first, second atomic.Int64
	goodbyes      atomic.Int64
	stopped       atomic.Bool
	all           sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

func (v *visitors) start(n int) {
	for range n {
		v.all.Go(func() {
			for !v.stopped.Load() {
				if err := v.visit(); err != nil {
					v.mu.Lock()
					v.failed = append(v.failed, err)
					v.mu.Unlock()
				}
			}
		})
	}
}

func (v *visitors) visit() error {
	nc, err := net.Dial("tcp", v.address)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(nc)
	greeting, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no greeting: %w", err)
	}
	if _, err := io.WriteString(nc, "hello\r\n"); err != nil {
		return err
	}
	switch answer, err := r.ReadString('\n'); {
	case err != nil:
		return fmt.Errorf("no answer from %q: %w", greeting, err)
	case answer == "bye\r\n":
		v.goodbyes.Add(1)
	case answer != "hello\r\n":
		return fmt.Errorf("answer %q", answer)
	}
	if strings.HasPrefix(greeting, "first") {
		v.first.Add(1)
	} else {
		v.second.Add(1)
	}
	return nil
}

func TestP39SocketsAreHandedOverWithoutARefusedConnection(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no sockets are handed over here")
	}
	var sockets listener.Sockets
	ctx, drain := context.WithCancel(t.Context())
	defer drain()
	bound, stopped := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		stopped <- serveGreeter(ctx, "first", "127.0.0.1:0", &sockets, func(a net.Addr) { bound <- a })
	}()
	v := &visitors{address: (<-bound).String()}
	idle, err := net.Dial("tcp", v.address)
	require.NoError(t, err)
	defer idle.Close()
	v.start(8)
	atLeast := func(count *atomic.Int64, n int64) {
		require.Eventually(t, func() bool { return count.Load() >= n }, time.Minute, time.Millisecond)
	}
	atLeast(&v.first, 100)

	successor := exec.Command(os.Args[0], "-test.run=^TestSuccessor$")
	successor.Env = append(os.Environ(), childAddress+"="+v.address)
	successor.Stdout, successor.Stderr = os.Stderr, os.Stderr
	stdin, err := successor.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, sockets.HandOver(t.Context(), successor))
	defer func() { _ = successor.Process.Kill() }()
	atLeast(&v.second, 1) // both serve
	drain()
	require.NoError(t, <-stopped)
	atLeast(&v.second, v.second.Load()+200)
	v.stopped.Store(true)
	v.all.Wait()
	require.NoError(t, stdin.Close())
	require.NoError(t, successor.Wait())

	require.Empty(t, v.failed)
	t.Logf("%d were served before, %d after, %d of them were asked to come again", v.first.Load(), v.second.Load(), v.goodbyes.Load())
	said, err := io.ReadAll(idle)
	require.NoError(t, err)
	require.Equal(t, "first\r\nbye\r\n", string(said))
}
