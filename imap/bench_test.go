package imap

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage/memory"
)

// benchClient has alice's INBOX of n messages selected, over loopback.
func benchClient(b *testing.B, n int, text string) *client {
	b.Helper()
	store := memory.New()
	for range n {
		deliverTo(b, store, "alice", "INBOX", text)
	}
	c := login(b, start(b, quietServer(store)))
	c.ok("SELECT INBOX")
	return c
}

// run measures a command whose answer is read as fast as it comes, beside
// the same octets sent over loopback by a bare writer.
func run(b *testing.B, c *client, command string) {
	b.Helper()
	require.NoError(b, c.conn.SetDeadline(time.Time{}))
	buf := make([]byte, 256<<10)
	size := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		io.WriteString(c.conn, "b "+command+"\r\n")
		size = readUntil(b, c.conn, buf, "b OK ")
	}
	b.StopTimer()
	ours := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.SetBytes(int64(size))
	b.ReportMetric(ours/bareLoopback(b, size), "ratio-to-bare-loopback")
}

// readUntil reads to the tagged answer, which begins a line at the end of
// what is sent.
func readUntil(b *testing.B, conn net.Conn, buf []byte, answer string) (size int) {
	var tail []byte
	for {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		size += n
		tail = append(tail, buf[max(0, n-128):n]...)
		tail = tail[max(0, len(tail)-128):]
		if i := bytes.LastIndex(tail, []byte("\n"+answer)); i >= 0 && bytes.HasSuffix(tail, []byte("\r\n")) {
			return size
		}
	}
}

// bareLoopback returns how many nanoseconds size octets take over loopback,
// written 16 KiB at a time.
func bareLoopback(b *testing.B, size int) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		ask, out := make([]byte, 1), make([]byte, 16<<10)
		for {
			if _, err := conn.Read(ask); err != nil {
				return
			}
			for left := size; left > 0; left -= len(out) {
				conn.Write(out[:min(left, len(out))])
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	defer conn.Close()
	buf := make([]byte, 256<<10)
	const rounds = 200
	began := time.Now()
	for range rounds {
		conn.Write([]byte{'x'})
		for got := 0; got < size; {
			n, err := conn.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	return float64(time.Since(began).Nanoseconds()) / rounds
}

func BenchmarkFetchFlagsOf10000(b *testing.B) {
	run(b, benchClient(b, 10_000, plainMessage), "FETCH 1:* (FLAGS)")
}

func BenchmarkFetchListing(b *testing.B) {
	run(b, benchClient(b, 10_000, plainMessage), "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)")
}

func BenchmarkFetchEnvelopeBodyStructure(b *testing.B) {
	run(b, benchClient(b, 1_000, mixedMessage), "FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
}

func BenchmarkFetchBody(b *testing.B) {
	for _, size := range []int{3 << 10, 50 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			c := benchClient(b, 200, "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz 0123456789abcdefghijklmnopqrstuv\r\n", size/72))
			run(b, c, "FETCH 1:* (BODY.PEEK[])")
		})
	}
}

func BenchmarkSearchBody(b *testing.B) {
	run(b, benchClient(b, 1_000, "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\r\n", 80)), "SEARCH BODY needle")
}

func BenchmarkStoreFlags(b *testing.B) {
	c := benchClient(b, 10_000, plainMessage)
	for b.Loop() {
		c.ok(`STORE 1:* +FLAGS.SILENT (\Seen)`)
		c.ok(`STORE 1:* -FLAGS.SILENT (\Seen)`)
	}
}

func BenchmarkSelectOf10000(b *testing.B) {
	c := benchClient(b, 10_000, plainMessage)
	for b.Loop() {
		c.ok("EXAMINE INBOX")
	}
}

func BenchmarkListMatch(b *testing.B) {
	m := newListPattern("*a%b*c")
	for b.Loop() {
		m.match("Work/2026/abc/Project")
	}
}
