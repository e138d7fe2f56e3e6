package wire

import (
	"bytes"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// peer is a client that compresses.
type peer struct {
	t  testing.TB
	nc net.Conn
	w  *flate.Writer
	r  io.Reader
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	w, err := flate.NewWriter(nc, flate.DefaultCompression)
	require.NoError(t, err)
	return &peer{t, nc, w, flate.NewReader(nc)}
}

func (p *peer) send(s string) {
	_, err := io.WriteString(p.w, s)
	require.NoError(p.t, err)
	require.NoError(p.t, p.w.Flush())
}

func (p *peer) expect(s string) {
	b := make([]byte, len(s))
	_, err := io.ReadFull(p.r, b)
	require.NoError(p.t, err)
	require.Equal(p.t, s, string(b))
}

// echo answers each line with itself until the test ends.
func echo(t *testing.T, c *Conn) {
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		for c.Await() == nil {
			line, err := c.ReadLine(1 << 20)
			if err != nil {
				return
			}
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	}()
}

func TestCompressedLinesGoBothWays(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	require.NoError(t, c.Compress())
	require.ErrorIs(t, c.Compress(), ErrCompressed)
	require.True(t, c.Compressed())
	echo(t, c)
	p := newPeer(t, client)
	for i := range 200 {
		line := fmt.Sprintf("%d %s\r\n", i, strings.Repeat("x", i*i))
		p.send(line)
		p.expect(line)
	}
	p.send("a\r\nb\r\nc\r\n")
	p.expect("a\r\nb\r\nc\r\n")
}

func TestCompressedInputArrivesOctetByOctet(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	require.NoError(t, c.Compress())
	echo(t, c)
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, 9)
	require.NoError(t, err)
	_, _ = io.WriteString(w, "first line\r\nsecond line\r\n")
	require.NoError(t, w.Flush())
	go func() {
		for _, b := range z.Bytes() {
			_, _ = client.Write([]byte{b})
		}
	}()
	(&peer{t: t, nc: client, r: flate.NewReader(client)}).expect("first line\r\nsecond line\r\n")
}

func TestCompressionInsideTLS(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	done := make(chan error, 1)
	go func() { done <- c.StartTLS(t.Context(), testcert.Server()) }()
	layer := tls.Client(client, testcert.Client())
	require.NoError(t, layer.HandshakeContext(t.Context()))
	require.NoError(t, <-done)
	require.NoError(t, c.Compress())
	echo(t, c)
	p := newPeer(t, layer)
	long := strings.Repeat("long ", 20_000) + "\r\n"
	for range 5 {
		p.send(long)
		p.expect(long)
	}
}

func TestCompressedConnectionsWaitWithoutBuffers(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	require.NoError(t, c.Compress())
	p := newPeer(t, client)
	p.send("a NOOP\r\n")
	line, err := c.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "a NOOP\r\n", string(line))
	_, err = c.WriteString("a OK\r\n")
	require.NoError(t, err)
	go func() {
		p.expect("a OK\r\n") // sent because the next read waits
		c.Interrupt()
	}()
	require.ErrorIs(t, c.Await(), ErrInterrupted)
	require.Nil(t, c.in)
	require.Nil(t, c.out)
	require.Nil(t, c.zip.in)
	require.Nil(t, c.zip.out)
	require.Nil(t, c.zip.encoder)
}

func TestCompressionRefusesEarlyInput(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "a COMPRESS DEFLATE\r\nb NOOP\r\n")
	_, err := c.ReadLine(100)
	require.NoError(t, err)
	require.ErrorIs(t, c.Compress(), ErrEarlyInput)
}

func TestNoTLSBelowCompression(t *testing.T) {
	c, _ := tcpPair(t, Timeouts{})
	require.NoError(t, c.Compress())
	require.ErrorIs(t, c.StartTLS(t.Context(), testcert.Server()), ErrCompressed)
}

func TestI30GarbageAndBombsEndReading(t *testing.T) {
	bomb := func(w io.Writer) {
		z, _ := flate.NewWriter(w, 9)
		line := []byte(strings.Repeat("x", 1000) + "\r\n")
		for range 100_000 {
			if _, err := z.Write(line); err != nil {
				return
			}
		}
		_ = z.Flush()
	}
	for want, attack := range map[error]func(io.Writer){
		ErrCorrupt: func(w io.Writer) { _, _ = io.WriteString(w, "a NOOP\r\nb NOOP\r\n\xff\xff\xff\xff") },
		ErrExpands: bomb,
	} {
		c, client := tcpPair(t, Timeouts{Idle: 20 * time.Second})
		require.NoError(t, c.Compress())
		go attack(client)
		read := 0
		for {
			line, err := c.ReadLine(1 << 20)
			if err != nil {
				require.ErrorIs(t, err, want)
				break
			}
			read += len(line)
		}
		require.Less(t, read, 10<<20)
		_, err := c.ReadLine(100)
		require.ErrorIs(t, err, want)
	}
}

func TestTheEndOfACompressedStreamIsTheEnd(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	require.NoError(t, c.Compress())
	p := newPeer(t, client)
	_, err := io.WriteString(p.w, "a LOGOUT\r\n")
	require.NoError(t, err)
	require.NoError(t, p.w.Close())
	line, err := c.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "a LOGOUT\r\n", string(line))
	_, err = c.ReadLine(100)
	require.ErrorIs(t, err, io.EOF)
}

// BenchmarkCompress tells what the levels cost and gain: with one encoder that
// keeps its history from response to response, and with one that begins anew
// with each, as ours do.
func BenchmarkCompress(b *testing.B) {
	var flags strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&flags, "* %d FETCH (UID %d FLAGS (\\Seen%s))\r\n", i+1, 3*i+7, []string{"", " $Work", " \\Answered"}[i%7%3])
	}
	mail := strings.Repeat("From: Alice <alice@example.test>\r\nSubject: Lunch\r\n\r\nShall we meet at the usual place, or somewhere else this time?\r\n", 25)
	for name, response := range map[string]string{"flags": flags.String(), "mail": mail, "short": "* 5 EXISTS\r\na1 OK NOOP completed\r\n"} {
		for _, level := range []int{flate.HuffmanOnly, 1, 2, 6} {
			for _, kept := range []string{"kept", "anew"} {
				b.Run(fmt.Sprintf("%s/level%d/%s", name, level, kept), func(b *testing.B) {
					var n counter
					w, err := flate.NewWriter(&n, level)
					require.NoError(b, err)
					b.SetBytes(int64(len(response)))
					for b.Loop() {
						if kept == "anew" {
							w.Reset(&n)
						}
						_, _ = io.WriteString(w, response)
						_ = w.Flush()
					}
					b.ReportMetric(float64(int(n)*100/b.N)/float64(len(response)), "%-of-size")
				})
			}
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
