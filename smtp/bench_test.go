package smtp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// BenchmarkDotScanner shows what finding the end of DATA costs, beside a bare
// copy of the same octets in the same windows (the limit of the memory).
func BenchmarkDotScanner(b *testing.B) {
	const window = 16 << 10
	for name, line := range map[string]string{
		"lines of 78":  strings.Repeat("x", 76) + "\r\n",
		"lines of 20":  strings.Repeat("x", 18) + "\r\n",
		"lines of 998": strings.Repeat("x", 996) + "\r\n",
		"dotted lines": "." + strings.Repeat("x", 75) + "\r\n",
	} {
		content := []byte(strings.Repeat(line, (8<<20)/len(line)) + ".\r\n")
		to := make([]byte, window)
		sink := func(p []byte) { copy(to, p) }
		copyOnly := func() {
			for p := content; len(p) > 0; p = p[min(window, len(p)):] {
				copy(to, p[:min(window, len(p))])
			}
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			var copying time.Duration
			for b.Loop() {
				var s dotScanner
				for p := content; len(p) > 0; p = p[min(window, len(p)):] {
					s.scan(p[:min(window, len(p))], sink)
				}
				began := time.Now()
				b.StopTimer()
				copyOnly()
				copying += time.Since(began)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(copying), "times-copy")
		})
	}
}

// benchMessage is a message of 1 KiB, and the whole transaction around it.
var (
	benchMessage = []byte("From: a@d.test\r\nTo: b@d.test\r\nSubject: a usual message\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 76)+"\r\n", 12) + "\r\n")
	benchTransaction = []byte("MAIL FROM:<a@d.test>\r\nRCPT TO:<b@d.test>\r\nDATA\r\n" + string(benchMessage) + ".\r\n")
)

// BenchmarkSession receives messages of 1 KiB over loopback, one transaction
// per round trip, beside the server of go-smtp. The client allocates nothing.
func BenchmarkSession(b *testing.B) {
	b.Run("posthouse", func(b *testing.B) {
		s := newServer(HandlerFunc(func(context.Context, *Message) error { return nil }))
		benchSession(b, start(b, s))
	})
	b.Run("go-smtp", func(b *testing.B) {
		s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return nullSession{}, nil }))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		defer func() { s.Close(); <-done }()
		benchSession(b, l.Addr().String())
	})
}

func benchSession(b *testing.B, address string) {
	nc, err := net.Dial("tcp", address)
	require.NoError(b, err)
	defer nc.Close()
	in := bufio.NewReader(nc)
	expect := func(code string) {
		line, err := in.ReadSlice('\n')
		if err != nil || !bytes.HasPrefix(line, []byte(code)) {
			b.Fatalf("%q is no %s: %v", line, code, err)
		}
	}
	expect("220")
	_, _ = io.WriteString(nc, "HELO c\r\n")
	expect("250")
	b.ReportAllocs()
	b.SetBytes(int64(len(benchMessage)))
	for b.Loop() {
		if _, err := nc.Write(benchTransaction); err != nil {
			b.Fatal(err)
		}
		expect("250")
		expect("250")
		expect("354")
		expect("250")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// nullSession is a go-smtp session that reads and forgets.
type nullSession struct{}

func (nullSession) Reset()                               {}
func (nullSession) Logout() error                        { return nil }
func (nullSession) Mail(string, *smtp.MailOptions) error { return nil }
func (nullSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (nullSession) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }
