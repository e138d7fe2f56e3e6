package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// deflated is a connection that is compressed. Each Write is sent at once.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (d *deflated) Read(b []byte) (int, error) { return d.r.Read(b) }

func (d *deflated) Write(b []byte) (int, error) {
	if _, err := d.w.Write(b); err != nil {
		return 0, err
	}
	return len(b), d.w.Flush()
}

// compress turns compression on.
func (c *client) compress() {
	c.t.Helper()
	c.ok("COMPRESS DEFLATE")
	w, err := flate.NewWriter(c.conn, flate.DefaultCompression)
	require.NoError(c.t, err)
	c.conn = &deflated{c.conn, flate.NewReader(c.in), w}
	c.in = bufio.NewReader(c.conn)
}

func TestCompressedSession(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { deliver(t, s.Store, plainMessage); deliver(t, s.Store, mixedMessage) })
	c := dial(t, addr)
	c.fails("COMPRESS DEFLATE", "BAD Command not allowed in this state")
	c.ok("LOGIN alice secret")
	require.Contains(t, c.ok("CAPABILITY"), " COMPRESS=DEFLATE ")
	c.fails("COMPRESS LZW", "NO Compression mechanism not supported")
	c.fails("COMPRESS", "BAD Missing argument")
	c.compress()
	c.fails("COMPRESS DEFLATE", "NO [COMPRESSIONACTIVE]")
	c.ok("SELECT INBOX")
	require.Contains(t, c.ok("FETCH 1:2 BODY[]"), mixedMessage)

	c.send("x APPEND INBOX {100000}\r\n")
	require.Equal(t, "+ Ready for literal", c.line())
	big := strings.Repeat("0123456789abcdef", 100_000/16)
	c.send(big + "\r\n")
	_, answer := c.until("x")
	require.Contains(t, answer, "OK [APPENDUID")
	require.Contains(t, c.ok("FETCH 3 BODY[]"), big)
	require.Contains(t, c.ok("LOGOUT"), "* BYE")
	_, err := c.in.ReadByte()
	require.Error(t, err, "the stream is cut off, as RFC 4978 lets it be")
}

func TestCompressedCommandsArriveOctetByOctet(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { deliver(t, s.Store, plainMessage) })
	c := login(t, addr)
	c.compress()
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, flate.BestCompression)
	require.NoError(t, err)
	_, err = io.WriteString(w, "a SELECT INBOX\r\nb FETCH 1 PREVIEW\r\nc APPEND INBOX {3+}\r\nabc\r\nd LOGOUT\r\n")
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	raw := c.conn.(*deflated).Conn
	go func() {
		for _, b := range z.Bytes() {
			_, _ = raw.Write([]byte{b})
		}
	}()
	for _, tag := range []string{"a", "b", "c", "d"} {
		_, answer := c.until(tag)
		require.True(t, strings.HasPrefix(answer, "OK"), answer)
	}
}

func TestIdleInsideCompressionIsPushedAtOnce(t *testing.T) {
	for _, layer := range []string{"plain", "TLS"} {
		t.Run(layer, func(t *testing.T) {
			s, addr := newServer(t, nil)
			c := dial(t, addr)
			if layer == "TLS" {
				c.ok("STARTTLS")
				c.conn = tls.Client(c.conn, testcert.Client())
				c.in = bufio.NewReader(c.conn)
			}
			c.ok("LOGIN alice secret")
			c.compress()
			c.ok("SELECT INBOX")
			c.send("i IDLE\r\n")
			require.Equal(t, "+ idling", c.line())
			for i := range 3 {
				deliver(t, s.Store, plainMessage)
				require.Equal(t, fmt.Sprintf("* %d EXISTS", i+1), c.line())
				require.Contains(t, c.line(), "RECENT")
			}
			c.send("DONE\r\n")
			_, answer := c.until("i")
			require.Contains(t, answer, "OK")
		})
	}
}

func TestInputBehindCompressEndsTheSession(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.send("a COMPRESS DEFLATE\r\nb DELETE INBOX\r\n")
	require.Contains(t, c.expectClosed(), "a BAD Unexpected input after COMPRESS")
}

func TestI30GarbageAndBombsEndTheSession(t *testing.T) {
	_, addr := newServer(t, nil)
	for name, attack := range map[string]func(io.Writer){
		"garbage": func(w io.Writer) { _, _ = io.WriteString(w, "a NOOP\r\nb NOOP\r\n") },
		"bomb": func(w io.Writer) {
			z, _ := flate.NewWriter(w, 9)
			_, _ = io.WriteString(z, "a APPEND INBOX {40000000+}\r\n")
			for range 40 {
				if _, err := z.Write(make([]byte, 1_000_000)); err != nil {
					return
				}
			}
			_ = z.Flush()
		},
	} {
		c := login(t, addr)
		c.compress()
		go attack(c.conn.(*deflated).Conn)
		require.Contains(t, c.expectClosed(), "* BYE Compressed data can't be read", name)
	}
}

func TestGoClientThroughCompression(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { deliver(t, s.Store, plainMessage) })
	c := login(t, addr)
	c.compress()
	c.send("z NOOP\r\n")
	c.until("z")
	// The client knows no COMPRESS, but bears being greeted late.
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.Copy(ours, io.MultiReader(strings.NewReader("* PREAUTH IMAP4rev1 ready\r\n"), c.in))
		ours.Close()
	}()
	go func() { _, _ = io.Copy(c.conn, ours) }()
	g := imapclient.New(theirs, nil)
	defer g.Close()
	require.NoError(t, g.WaitGreeting())
	box, err := g.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	require.EqualValues(t, 1, box.NumMessages)
	require.NoError(t, g.Logout().Wait())
}

// BenchmarkCompressedFetch compares sessions with and without compression.
func BenchmarkCompressedFetch(b *testing.B) {
	_, addr := newServer(b, func(s *Server) {
		for range 500 {
			deliver(b, s.Store, plainMessage)
		}
	})
	for _, kind := range []string{"plain", "deflate"} {
		b.Run(kind, func(b *testing.B) {
			c := login(b, addr)
			require.NoError(b, c.conn.SetDeadline(time.Now().Add(time.Hour)))
			if kind == "deflate" {
				c.compress()
			}
			c.ok("SELECT INBOX")
			for b.Loop() {
				c.ok("FETCH 1:* (FLAGS BODY.PEEK[])")
			}
		})
	}
}
