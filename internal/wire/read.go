package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// transfer watches the minimum rate of a running transfer.
type transfer struct {
	active  bool
	started time.Time
	got     int64
	rate    int64 // octets per second
}

// transferGrace is how long a transfer may run before its rate counts.
const transferGrace = 30 * time.Second

// BeginTransfer says that a transfer of unknown length follows, which must
// arrive at no less than rate octets per second, after a grace of 30 seconds.
func (c *Conn) BeginTransfer(rate int64) {
	c.transfer = transfer{active: true, started: time.Now(), rate: rate}
}

// EndTransfer ends what BeginTransfer began.
func (c *Conn) EndTransfer() { c.transfer = transfer{} }

// Buffered returns how many octets have arrived and were not read.
func (c *Conn) Buffered() int { return c.w - c.r }

// Await waits, as ReadLine does, until something has arrived. Called before
// ReadLine it makes a waiting session smaller: the runtime halves a stack of
// which less than a quarter is used, and ReadLine's frame is not small.
func (c *Conn) Await() error {
	if c.Buffered() > 0 {
		return nil
	}
	c.long = nil
	return c.fill(time.Now().Add(c.t.Idle), true)
}

// ReadLine returns the next line with its line feed; it stays valid until the
// next read. A line longer than limit octets is ErrLineTooLong, after which
// the rest of it is still unread: close the connection, or skip it. At the
// end of input, what came without a line feed is dropped and io.EOF or
// io.ErrUnexpectedEOF returned.
func (c *Conn) ReadLine(limit int) ([]byte, error) {
	c.long = nil // kept for no longer than it is valid: a waiting connection holds nothing
	deadline := time.Now().Add(c.t.Idle)
	started := c.Buffered() > 0
	if started {
		deadline = time.Now().Add(c.t.Line)
	}
	for {
		if c.Buffered() == 0 {
			if err := c.fill(deadline, !started); err != nil {
				return nil, lineError(err, started)
			}
		}
		if !started {
			started = true
			deadline = time.Now().Add(c.t.Line)
		}
		chunk := c.in.b[c.r:c.w]
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 && len(c.long)+len(chunk) > limit || i >= 0 && len(c.long)+i+1 > limit {
			return nil, ErrLineTooLong
		}
		if i >= 0 {
			c.r += i + 1
			if len(c.long) == 0 {
				return chunk[:i+1], nil
			}
			c.long = append(c.long, chunk[:i+1]...)
			return c.long, nil
		}
		c.long = append(c.long, chunk...)
		c.r = c.w
	}
}

func lineError(err error, started bool) error {
	if errors.Is(err, io.EOF) && started {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Window returns the octets that have arrived and were not read, at least
// one; it waits for them if need be. They stay valid until the next read.
// Advance takes octets off their front.
func (c *Conn) Window() ([]byte, error) {
	if c.Buffered() == 0 {
		if err := c.fill(c.transferDeadline(), false); err != nil {
			return nil, lineError(err, true)
		}
	}
	return c.in.b[c.r:c.w], nil
}

// Advance marks n octets of the last Window as read.
func (c *Conn) Advance(n int) { c.r += n }

// Read reads into p as an io.Reader, for transfers of known length.
func (c *Conn) Read(p []byte) (int, error) {
	w, err := c.Window()
	if err != nil {
		return 0, err
	}
	n := copy(p, w)
	c.Advance(n)
	return n, nil
}

func (c *Conn) transferDeadline() time.Time {
	deadline := time.Now().Add(c.t.Read)
	if t := c.transfer; t.active {
		allowed := transferGrace + time.Duration(t.got/t.rate)*time.Second
		if end := t.started.Add(allowed); end.Before(deadline) {
			return end
		}
	}
	return deadline
}

// fill waits for input and reads what has arrived. stoppable says that an
// Interrupt may end the wait.
func (c *Conn) fill(deadline time.Time, stoppable bool) (err error) {
	if err := c.Flush(); err != nil {
		return err
	}
	if c.zip != nil {
		err = c.inflate(deadline, stoppable)
	} else {
		err = c.receive(deadline, stoppable)
	}
	c.transfer.got += int64(c.w)
	return err
}

// receive waits for octets as they are sent and reads them.
func (c *Conn) receive(deadline time.Time, stoppable bool) error {
	if c.wait != nil {
		c.dropInput()
		buf, n, err := c.wait.held()
		if n > 0 || err != nil {
			return c.filled(buf, n, err)
		}
	}
	return c.untilDeadline(deadline, stoppable, c.read)
}

// untilDeadline calls what reads or waits, with a deadline. stoppable says that
// an Interrupt may end that.
func (c *Conn) untilDeadline(deadline time.Time, stoppable bool, read func() error) error {
	for {
		if err := c.outer.SetReadDeadline(deadline); err != nil {
			return err
		}
		if stoppable && c.interrupted.Load() {
			return ErrInterrupted
		}
		err := read()
		if errors.Is(err, os.ErrDeadlineExceeded) && c.interrupted.Load() && time.Now().Before(deadline) {
			continue // Interrupt moved the deadline, not the client
		}
		return err
	}
}

// read reads once into the input buffer, which it holds only while there is
// something in it, or while there is no other way to wait.
func (c *Conn) read() error {
	if c.wait != nil {
		return c.filled(c.wait.read())
	}
	c.dropInput()
	buf := getBuffer()
	n, err := c.nc.Read(buf.b[:])
	return c.filled(buf, n, err)
}

func (c *Conn) filled(buf *buffer, n int, err error) error {
	c.in, c.r, c.w = buf, 0, n
	switch {
	case n > 0:
		return nil
	case err == nil:
		err = io.ErrNoProgress
	}
	c.dropInput()
	return err
}

func (c *Conn) dropInput() {
	if c.in != nil {
		putBuffer(c.in)
	}
	c.in, c.r, c.w = nil, 0, 0
}
