package smtp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
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

// benchMessage is a message of 1 KiB.
var benchMessage = []byte("From: a@d.test\r\nTo: b@d.test\r\nSubject: a usual message\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" +
	strings.Repeat(strings.Repeat("x", 76)+"\r\n", 12) + "\r\n")

// transactionOf is all that a client says to send content.
func transactionOf(content []byte) []byte {
	b := append([]byte("MAIL FROM:<a@d.test>\r\nRCPT TO:<b@d.test>\r\nDATA\r\n"), content...)
	return append(b, ".\r\n"...)
}

// BenchmarkSession receives messages over loopback, one transaction per round
// trip, beside the server of go-smtp, which hands them to nobody either but
// keeps and indexes nothing. The client allocates nothing.
func BenchmarkSession(b *testing.B) {
	null := HandlerFunc(func(context.Context, *Message) error { return nil })
	large := bytes.Repeat(benchMessage, 1024)
	for name, content := range map[string][]byte{"1 KiB": benchMessage, "1 MiB": large} {
		b.Run(name+"/posthouse", func(b *testing.B) { benchSession(b, start(b, newServer(null)), content) })
		b.Run(name+"/go-smtp", func(b *testing.B) { benchSession(b, startGoSMTP(b), content) })
	}
}

// startGoSMTP serves the peer of benchmarks until the benchmark ends.
func startGoSMTP(b *testing.B) (address string) {
	b.Helper()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return nullSession{}, nil }))
	l := listen(b)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	b.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// BenchmarkIdleSession reports what a session that waits for a command costs
// after it received a message: heap and stack of both ends together, beside
// the server of go-smtp and a bare pair of connections.
func BenchmarkIdleSession(b *testing.B) {
	null := HandlerFunc(func(context.Context, *Message) error { return nil })
	bare := listen(b)
	defer bare.Close()
	for name, address := range map[string]string{
		"posthouse": start(b, newServer(null)), "go-smtp": startGoSMTP(b), "bare connections": "",
	} {
		b.Run(name, func(b *testing.B) {
			const sessions = 500
			for b.Loop() {
				before := inUse()
				ends := make([]net.Conn, 0, 2*sessions)
				for range sessions {
					if address == "" {
						ends = append(ends, dial(b, bare.Addr().String()))
						nc, err := bare.Accept()
						require.NoError(b, err)
						ends = append(ends, nc)
						continue
					}
					ends = append(ends, deliverOne(b, address))
				}
				b.ReportMetric(float64(inUse()-before)/sessions/1024, "KiB/session")
				for _, nc := range ends {
					nc.Close()
				}
			}
		})
	}
}

// deliverOne delivers a message and leaves the session open.
func deliverOne(b *testing.B, address string) net.Conn {
	b.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(b, err)
	_, err = nc.Write(append([]byte("HELO c\r\n"), transactionOf(benchMessage)...))
	require.NoError(b, err)
	var answers [1024]byte
	for lines := 0; lines < 6; {
		n, err := nc.Read(answers[:])
		require.NoError(b, err)
		lines += bytes.Count(answers[:n], []byte("\n"))
	}
	return nc
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func benchSession(b *testing.B, address string, content []byte) {
	transaction := transactionOf(content)
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
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := nc.Write(transaction); err != nil {
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
