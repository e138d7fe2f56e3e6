package splice

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what must happen, on the slowest machine.
const patience = time.Minute

var transports = []string{"tcp", "tls", "unix", "pipe"}

// connect returns the far end of a connection and the near one, wrapped.
func connect(t testing.TB, transport string) (net.Conn, *wire.Conn) {
	t.Helper()
	var far, near net.Conn
	switch transport {
	case "pipe":
		far, near = net.Pipe()
	case "unix":
		far, near = dial(t, "unix", filepath.Join(t.TempDir(), "s"))
	default:
		far, near = dial(t, "tcp", "127.0.0.1:0")
	}
	if transport == "tls" {
		client, server := tls.Client(far, testcert.Client()), tls.Server(near, testcert.Server())
		shaken := make(chan error, 1)
		go func() { shaken <- client.Handshake() }()
		require.NoError(t, server.Handshake())
		require.NoError(t, <-shaken)
		far, near = client, server
	}
	require.NoError(t, far.SetDeadline(time.Now().Add(10*patience)))
	t.Cleanup(func() { far.Close(); near.Close() })
	return far, wire.New(near, wire.Timeouts{})
}

func dial(t testing.TB, network, address string) (far, near net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	defer l.Close()
	far, err = net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	near, err = l.Accept()
	require.NoError(t, err)
	return far, near
}

// rig is a pair that runs, seen from both far ends.
type rig struct {
	client, server         net.Conn
	nearClient, nearServer *wire.Conn
	kick                   context.CancelCauseFunc
	done                   chan error
	by                     Party // who ended first, when done has said why
}

func start(t testing.TB, clientBy, serverBy string, timeouts Timeouts) *rig {
	t.Helper()
	r := &rig{done: make(chan error, 1)}
	r.client, r.nearClient = connect(t, clientBy)
	r.server, r.nearServer = connect(t, serverBy)
	r.run(t, timeouts)
	return r
}

func (r *rig) run(t testing.TB, timeouts Timeouts) {
	t.Helper()
	ctx, kick := context.WithCancelCause(context.Background())
	r.kick = kick
	over := make(chan struct{})
	require.NoError(t, Start(ctx, r.nearClient, r.nearServer, timeouts, func(by Party, err error) {
		r.by = by
		r.done <- err
		close(over)
	}))
	t.Cleanup(func() {
		kick(nil)
		<-over
	})
}

// ended returns why the pair ended.
func (r *rig) ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		require.Fail(t, "the pair did not end")
		return nil
	}
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

// converse proves that octets move both ways.
func (r *rig) converse(t testing.TB) {
	t.Helper()
	say(t, r.client, "a1 NOOP\r\n")
	hear(t, r.server, "a1 NOOP\r\n")
	say(t, r.server, "a1 OK done\r\n")
	hear(t, r.client, "a1 OK done\r\n")
}

// block is what is sent over and over; its odd size makes a lost or doubled
// buffer show.
var block = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20-3)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
})

func sendBlocks(w io.Writer, total int) error {
	for total > 0 {
		n, err := w.Write(block()[:min(total, len(block()))])
		if err != nil {
			return err
		}
		total -= n
	}
	return nil
}

// expectBlocks reads what sendBlocks sends.
func expectBlocks(r io.Reader, total int) error {
	got := make([]byte, len(block()))
	for read := 0; read < total; {
		chunk := got[:min(total-read, len(got))]
		if n, err := io.ReadFull(r, chunk); err != nil {
			return fmt.Errorf("after %d: %w", read+n, err)
		}
		if !bytes.Equal(chunk, block()[:len(chunk)]) {
			return fmt.Errorf("other octets after %d", read)
		}
		read += len(chunk)
	}
	return nil
}

// exchange sends total octets each way at the same time and proves that they
// arrive as they were.
func (r *rig) exchange(t testing.TB, total int) {
	t.Helper()
	results := make(chan error, 4)
	for _, nc := range []net.Conn{r.client, r.server} {
		go func() { results <- sendBlocks(nc, total) }()
		go func() { results <- expectBlocks(nc, total) }()
	}
	for range 4 {
		require.NoError(t, <-results)
	}
}

// eventually waits for what must become true soon, without a say in when.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			require.Fail(t, what+" did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}
