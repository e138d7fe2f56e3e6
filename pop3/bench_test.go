package pop3

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// mailOf returns a message of a size, in lines of 72 octets, some with a dot.
func mailOf(size int) string {
	var b strings.Builder
	b.WriteString("From: alice@example.test\r\nSubject: a benchmark\r\n\r\n")
	for i := 0; b.Len() < size; i++ {
		if i%20 == 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.Repeat("x", 70) + "\r\n")
	}
	return b.String()
}

// BenchmarkRetr retrieves a message of 3 KiB in lock step over loopback, and
// beside it the same octets from a server that does nothing but write them.
func BenchmarkRetr(b *testing.B) {
	mail := mailOf(3 << 10)
	b.Run("posthouse", func(b *testing.B) {
		s := start(b, mail)
		c := s.login(b)
		retrieve(b, c.Conn, c.r)
	})
	b.Run("bare loopback", func(b *testing.B) {
		var response bytes.Buffer
		response.WriteString("+OK\r\n")
		require.NoError(b, stuff(&response, message.FromBytes([]byte(mail)), int64(len(mail))))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		defer l.Close()
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			in := bufio.NewReader(nc)
			for {
				if _, err := in.ReadSlice('\n'); err != nil {
					return
				}
				_, _ = nc.Write(response.Bytes())
			}
		}()
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		defer nc.Close()
		retrieve(b, nc, bufio.NewReader(nc))
	})
}

func retrieve(b *testing.B, w io.Writer, r *bufio.Reader) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(w, "RETR 1\r\n"); err != nil {
			b.Fatal(err)
		}
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if len(line) == 3 && line[0] == '.' {
				break
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkStuff frames a message of 1 MiB, beside a bare copy of it.
func BenchmarkStuff(b *testing.B) {
	mail := message.FromBytes([]byte(mailOf(1 << 20)))
	var sink discard
	b.Run("stuff", func(b *testing.B) {
		b.SetBytes(mail.Size())
		for b.Loop() {
			if err := stuff(&sink, mail, mail.Size()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(mail.Size())
		chunk := make([]byte, chunkSize)
		for b.Loop() {
			for off := int64(0); off < mail.Size(); off += chunkSize {
				n, _ := mail.ReadAt(chunk, off)
				_, _ = sink.Write(chunk[:n])
			}
		}
	})
}

// discard copies what it is given once, as a connection does.
type discard struct{ b [chunkSize]byte }

func (d *discard) Write(p []byte) (int, error) { return copy(d.b[:], p), nil }

func (d *discard) WriteString(s string) (int, error) { return copy(d.b[:], s), nil }
