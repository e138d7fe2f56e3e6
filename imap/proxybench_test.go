package imap

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// BenchmarkLogin is a whole session: connect, log in, log out. "direct" has
// none but the back end of the others, and is what they cost beside the proxy.
func BenchmarkLogin(b *testing.B) {
	back := benchBackend(b)
	b.Run("direct", func(b *testing.B) { benchLogins(b, back) })
	b.Run("proxy", func(b *testing.B) {
		l, err := listener.Listen(b.Context(), listener.Config{Address: "127.0.0.1:0"})
		require.NoError(b, err)
		p := &Proxy{
			Front: &proxy.Front{
				Mapper: mapping.Static(routeTo(back)), Health: &proxy.Health{}, Sessions: &proxy.Sessions{}, Own: proxy.OwnListeners(l.Addr()),
			},
			Throttle: auth.NewThrottle(auth.Chain(), auth.ThrottleOptions{}), PlainAuth: netip.Addr.IsLoopback, Pass: PassID,
			Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})),
		}
		go p.Serve(context.Background(), l)
		b.Cleanup(func() { p.Close() })
		benchLogins(b, l.Addr().String())
	})
}

func benchLogins(b *testing.B, address string) {
	to, err := net.ResolveTCPAddr("tcp", address)
	require.NoError(b, err)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var buf [512]byte
		for pb.Next() {
			nc, err := net.DialTCP("tcp", nil, to)
			if err != nil {
				b.Error(err)
				return
			}
			for _, step := range [...][2]string{{"", "* OK"}, {"a LOGIN alice secret\r\n", "a OK"}, {"b LOGOUT\r\n", "b OK"}} {
				_, _ = io.WriteString(nc, step[0])
				for n := 0; ; {
					k, err := nc.Read(buf[n:])
					if err != nil {
						b.Errorf("%s: %v", buf[:n], err)
						return
					}
					n += k
					line := buf[bytes.LastIndexByte(buf[:n-1], '\n')+1 : n]
					if buf[n-1] == '\n' && bytes.HasPrefix(line, []byte(step[1])) {
						break
					}
				}
			}
			nc.Close()
		}
	})
}

// benchBackend lets everybody in who says what he has to say in one write.
func benchBackend(b *testing.B) (address string) {
	const caps = "[CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN]"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	serve := func(nc net.Conn) {
		defer nc.Close()
		_, _ = io.WriteString(nc, "* OK "+caps+" ready\r\n")
		var buf [512]byte
		for {
			n, err := nc.Read(buf[:])
			if err != nil {
				return
			}
			tag, command, _ := bytes.Cut(buf[:n], []byte(" "))
			if bytes.HasPrefix(command, []byte("LOGOUT")) {
				_, _ = nc.Write(append(append([]byte("* BYE\r\n"), tag...), " OK\r\n"...))
				return
			}
			_, _ = nc.Write(append(tag, " OK "+caps+" in\r\n"...))
		}
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serve(nc)
		}
	}()
	return l.Addr().String()
}
