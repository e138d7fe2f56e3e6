package managesieve

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// saying is a connection on which the other end says something and closes, and
// nobody waits for what is written.
type saying struct {
	net.Conn
	written strings.Builder
}

func (s *saying) Write(p []byte) (int, error) { return s.written.Write(p) }

func (s *saying) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

func says(octets []byte) *saying {
	near, far := net.Pipe()
	go func() {
		_, _ = far.Write(octets)
		far.Close()
	}()
	return &saying{Conn: near}
}

// FuzzBackend lets a back end say anything, and looks at what becomes of it.
func FuzzBackend(f *testing.F) {
	f.Add([]byte("\"SASL\" \"PLAIN\"\r\nOK\r\nOK \"in\"\r\n"))
	f.Add([]byte("\"SASL\" {5}\r\nPLAIN\r\nOK (TAG \"x\") {2}\r\nab\r\nNO (TRYLATER) \"later\"\r\n"))
	f.Add([]byte("\"SASL\" \"PLAIN\"\r\nOK\r\n\"e30=\"\r\nNO\r\n"))
	f.Add([]byte("\"SASL\" \"PLAIN\"\r\nOK\r\nNO \"hidden\"\r\n"))
	f.Add([]byte("BYE (REFERRAL \"sieve://x\") {99999999}\r\n"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		nc := says(octets)
		defer nc.Close()
		b := newBackend(wire.New(nc, wire.Timeouts{}))
		defer b.conn.Release()
		err := b.capabilities()
		text := ""
		if err == nil {
			text, err = b.logIn(proxy.Words{Mechanism: "PLAIN", User: "alice", Secret: "hidden"})
			if err != nil {
				require.NotContains(t, err.Error(), "hidden")
			}
		}
		require.Equal(t, proxy.OneLine(text), text)
	})
}

// FuzzSession lets a client say anything.
func FuzzSession(f *testing.F) {
	f.Add([]byte("CAPABILITY\r\nNOOP \"a\"\r\nLOGOUT\r\n"))
	f.Add([]byte("AUTHENTICATE {5+}\r\nPLAIN\r\n\"AGFsaWNlAHB3\"\r\nNOOP\r\n"))
	f.Add([]byte("STARTTLS\r\n\x16\x03\x01"))
	f.Add([]byte("PUTSCRIPT \"a\" {99999+}\r\nx"))
	f.Add([]byte("XCLIENT ADDR=192.0.2.7 PORT=4190 SESSION=a TTL=7\r\nXCLIENT TTL=1\r\n"))
	f.Add([]byte("NOOP \"\\\"\\\\\" {3}\r\n(\r\n"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		p := &Proxy{
			Front: &proxy.Front{Mapper: mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
				return mapping.Route{}, mapping.ErrUnavailable
			})},
			Auth: authtest.Account{User: "alice", Password: "pw"}, TLS: testcert.Server(),
			PlainAuth: func(netip.Addr) bool { return true }, Fronts: func(netip.Addr) bool { return true },
			Timeouts: Timeouts{AuthDelay: -1, Handshake: time.Second}, Logger: slog.New(slog.DiscardHandler),
		}
		nc := says(octets)
		c := wire.New(nc, p.Timeouts.wire())
		defer c.Release()
		defer c.Close()
		require.Nil(t, p.converse(t.Context(), c))
		for line := range strings.Lines(nc.written.String()) {
			if strings.HasPrefix(line, "\x15") || strings.HasPrefix(line, "\x16") { // TLS
				return
			}
			require.True(t, strings.HasSuffix(line, "\r\n") || strings.Contains(string(octets), "{"), "%q", line)
		}
	})
}
