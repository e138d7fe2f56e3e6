package front

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// BenchmarkIdleSession reports what a session that waits for a command costs,
// heap and stack together, with the client's end in the same process. The
// floor beside it is a goroutine that waits in Read with a kept buffer of
// 4 KiB, the usual way to write it in Go.
func BenchmarkIdleSession(b *testing.B) {
	const sessions = 1000 // per measurement
	for name, c := range map[string]struct {
		serve func(l net.Listener)
		dial  func(address string) (net.Conn, error)
	}{
		"plain": {func(l net.Listener) { _ = new(Pool).Serve(context.Background(), l, wire.Timeouts{}, echo) }, dialPlain},
		"TLS": {func(l net.Listener) {
			_ = new(Pool).Serve(context.Background(), l, wire.Timeouts{}, func(ctx context.Context, c *wire.Conn) {
				if c.StartTLS(ctx, testcert.Server()) == nil {
					echo(ctx, c)
				}
			})
		}, dialTLS},
		"floor: plain, 4 KiB buffer kept": {serveKept, dialPlain},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(b, err)
				go c.serve(l)
				before := inUse()
				clients := make([]net.Conn, sessions)
				for i := range clients {
					clients[i], err = c.dial(l.Addr().String())
					require.NoError(b, err)
					askOne(b, clients[i])
				}
				b.ReportMetric(float64(inUse()-before)/sessions/1024, "KiB/session")
				for _, nc := range clients {
					nc.Close()
				}
				l.Close()
			}
		})
	}
}

func dialPlain(address string) (net.Conn, error) { return net.Dial("tcp", address) }

func dialTLS(address string) (net.Conn, error) { return tls.Dial("tcp", address, testcert.Client()) }

// askOne proves that the session is up and waits for its next command.
func askOne(b *testing.B, nc net.Conn) {
	b.Helper()
	_, err := nc.Write([]byte("hello\r\n"))
	require.NoError(b, err)
	_, err = nc.Read(make([]byte, 7))
	require.NoError(b, err)
}

func serveKept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			buf := make([]byte, 4096)
			for {
				n, err := nc.Read(buf)
				if err != nil {
					return
				}
				_, _ = nc.Write(buf[:n])
			}
		}()
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
