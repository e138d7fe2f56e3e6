package wire

import (
	"net"
	"syscall"
)

// Parts are what a connection is made of, for whoever moves its octets without
// looking at them.
type Parts struct {
	Conn  net.Conn        // reads and writes: the TLS layer, where there is one
	Raw   syscall.RawConn // the descriptor below it; nil: there is no way to one
	TLS   bool            // whether a TLS layer is between Conn and Raw
	Ahead []byte          // has arrived and was not read
}

// Detach writes what is pending, gives the buffers back and hands the
// connection's parts out. Nothing may be read or written through c any more;
// it still closes, is interrupted, and has addresses. ErrCompressed when
// compression is active.
func (c *Conn) Detach() (Parts, error) {
	if c.zip != nil {
		return Parts{}, ErrCompressed
	}
	if err := c.Flush(); err != nil {
		return Parts{}, err
	}
	p := Parts{Conn: c.nc}
	if c.Buffered() > 0 {
		p.Ahead = append(p.Ahead, c.in.b[c.r:c.w]...)
	}
	c.dropInput()
	c.long, c.wait = nil, nil
	raw, layer := descriptor(c.nc)
	p.Raw, p.TLS = raw, layer != nil
	return p, nil
}

// Await waits, without a buffer, until a read from the descriptor would not
// block, or until Conn's read deadline. It needs Raw.
func (p *Parts) Await() error { return p.Raw.Read(readable) }

// Ready reports whether a read from the descriptor would not block. It needs
// Raw.
func (p *Parts) Ready() bool {
	ready := false
	err := p.Raw.Control(func(fd uintptr) { ready = readable(fd) })
	return ready || err != nil // which the read will return
}

// Interrupted reports whether Interrupt was called.
func (c *Conn) Interrupted() bool { return c.interrupted.Load() }

// CloseWrite tells the other end that nothing more comes, and reports whether
// the connection has a way to say so. Pending output is not written.
func (c *Conn) CloseWrite() bool { return closeWrite(c.nc) }

// Reset closes the connection so that the other end sees it broken, not ended,
// where the transport knows the difference.
func (c *Conn) Reset() error {
	for nc := c.outer; nc != nil; {
		if l, ok := nc.(interface{ SetLinger(sec int) error }); ok {
			_ = l.SetLinger(0) // it is closed in any case
			break
		}
		inner, ok := nc.(netConner)
		if !ok {
			break
		}
		nc = inner.NetConn()
	}
	return c.Close()
}
