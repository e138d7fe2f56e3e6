package wire

import (
	"compress/flate"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/inflate"
)

// Errors of compressed input: after one of them nothing can be read any more.
var (
	ErrCorrupt    = inflate.ErrCorrupt
	ErrExpands    = inflate.ErrTooMuch
	ErrCompressed = errors.New("compression is already active")
)

// compression is DEFLATE in both directions. What it holds while the connection
// waits is the history of the input: as much as the client has sent, and 32 KiB
// at most.
type compression struct {
	decoder inflate.Decoder
	in      *buffer // nil while no input is there that was not decoded
	r, w    int     // it is in.b[r:w]
	more    bool    // the decoder may have output without more input

	encoder *flate.Writer // nil after a flush
	out     *buffer       // nil while nothing is pending
	n       int           // pending octets
}

// encoders are the same for all connections: an encoder takes 1.2 MB, and none
// needs one while it waits. Without its history, which goes with it, a response
// is a little longer: a mail of 3 KB becomes 5 % of its size instead of 1 %, a
// list of flags 17 % either way. At the levels above 1 it takes 130 µs to begin
// anew, for 1 % of the size. See BenchmarkCompress.
var encoders = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // which is a level that exists
	return w
}}

// Compress begins to compress what is written and to decompress what is read
// (DEFLATE, RFC 1951), below any TLS layer's octets. Answer the client and Flush
// first. ErrEarlyInput when octets have arrived already, and the connection must
// be closed: nobody knows whether they are compressed.
func (c *Conn) Compress() error {
	if c.zip != nil {
		return ErrCompressed
	}
	if c.Buffered() > 0 {
		return ErrEarlyInput
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.dropInput()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zip = new(compression)
	return nil
}

// Compressed reports whether Compress has been called.
func (c *Conn) Compressed() bool { return c.zip != nil }

// inflate fills the input buffer with what is decoded, and waits for more only
// while that is nothing.
func (c *Conn) inflate(deadline time.Time, stoppable bool) error {
	for {
		if err := c.decodeHeld(); err != nil || c.Buffered() > 0 {
			return err
		}
		if err := c.receive(deadline, stoppable); err != nil {
			return err
		}
		c.toDecode()
	}
}

// decodeHeld fills the input buffer with what is decoded without more input, if
// that is anything.
func (c *Conn) decodeHeld() error {
	z := c.zip
	if z.in == nil && !z.more {
		return nil
	}
	buf := getBuffer()
	n, err := z.decode(buf.b[:])
	if n == 0 {
		putBuffer(buf)
		return err
	}
	c.dropInput()
	c.in, c.r, c.w = buf, 0, n
	return nil
}

// toDecode makes what was received input of the decoder.
func (c *Conn) toDecode() {
	z := c.zip
	z.in, z.r, z.w = c.in, c.r, c.w
	c.in, c.r, c.w = nil, 0, 0
}

func (z *compression) decode(p []byte) (int, error) {
	var src []byte
	if z.in != nil {
		src = z.in.b[z.r:z.w]
	}
	n, used, err := z.decoder.Decode(p, src)
	z.r += used
	z.more = n == len(p) || err != nil
	if z.r == z.w {
		z.dropInput()
	}
	return n, err
}

func (z *compression) dropInput() {
	if z.in != nil {
		putBuffer(z.in)
	}
	z.in, z.r, z.w = nil, 0, 0
}

// deflate compresses p; c.mu is held.
func (c *Conn) deflate(p []byte) {
	if c.zip.encoder == nil {
		c.zip.encoder = encoders.Get().(*flate.Writer)
		c.zip.encoder.Reset((*gather)(c))
	}
	_, c.err = c.zip.encoder.Write(p)
}

// flushDeflate writes everything that was compressed, so that the client can
// decode it at once, and gives the encoder back.
func (c *Conn) flushDeflate() {
	z := c.zip
	if z.encoder == nil {
		return
	}
	if c.err == nil {
		c.err = z.encoder.Flush()
	}
	if c.err == nil && z.n > 0 {
		c.err = c.send(z.out.b[:z.n])
	}
	z.dropOutput()
}

func (z *compression) dropOutput() {
	if z.encoder != nil {
		z.encoder.Reset(io.Discard) // it must not hold the connection
		encoders.Put(z.encoder)
	}
	if z.out != nil {
		putBuffer(z.out)
	}
	z.encoder, z.out, z.n = nil, nil, 0
}

// gather collects what the encoder writes, which are small pieces.
type gather Conn

func (g *gather) Write(p []byte) (int, error) {
	z, total := g.zip, len(p)
	for len(p) > 0 {
		if z.out == nil {
			z.out = getBuffer()
		}
		k := copy(z.out.b[z.n:], p)
		z.n, p = z.n+k, p[k:]
		if z.n == len(z.out.b) {
			if err := (*Conn)(g).send(z.out.b[:]); err != nil {
				return 0, err
			}
			z.n = 0
		}
	}
	return total, nil
}
