package wire

import (
	"io"
	"time"
)

// Write buffers p; see Flush. After an error every later Write fails with it.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(p)
}

// WriteString is Write for a string.
func (c *Conn) WriteString(s string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := len(s)
	for len(s) > 0 && c.err == nil {
		n := copy(c.room(), s)
		c.n += n
		s = s[n:]
	}
	return total - len(s), c.err
}

// WriteFrom writes n octets of r from off on, without an intermediate buffer.
func (c *Conn) WriteFrom(r io.ReaderAt, off, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n > 0 && c.err == nil {
		room := c.room()
		if int64(len(room)) > n {
			room = room[:n]
		}
		m, err := r.ReadAt(room, off)
		c.n += m
		off += int64(m)
		n -= int64(m)
		if m < len(room) && err != nil {
			return err
		}
	}
	return c.err
}

// Flush writes what is pending and gives the buffer back.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n > 0 && c.err == nil {
		c.flush()
	}
	if c.zip != nil {
		c.flushDeflate()
	}
	c.dropOutput()
	return c.err
}

func (c *Conn) write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && c.err == nil {
		n := copy(c.room(), p)
		c.n += n
		p = p[n:]
	}
	return total - len(p), c.err
}

// room returns free space of the output buffer, at least one octet unless writing failed.
func (c *Conn) room() []byte {
	if c.out == nil {
		c.out = getBuffer()
	}
	if c.n == len(c.out.b) {
		c.flush()
	}
	return c.out.b[c.n:]
}

// flush writes the buffer out, or to the encoder.
func (c *Conn) flush() {
	if c.zip != nil {
		c.deflate(c.out.b[:c.n])
	} else {
		c.err = c.send(c.out.b[:c.n])
	}
	c.n = 0
}

// send writes p, which has at most bufferSize octets, with a deadline of its own.
func (c *Conn) send(p []byte) error {
	if err := c.outer.SetWriteDeadline(time.Now().Add(c.t.Write)); err != nil {
		return err
	}
	_, err := c.nc.Write(p)
	return err
}

func (c *Conn) dropOutput() {
	if c.out != nil {
		putBuffer(c.out)
	}
	c.out, c.n = nil, 0
	if c.zip != nil {
		c.zip.dropOutput()
	}
}
