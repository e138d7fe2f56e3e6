package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter reads from a connection and holds no buffer while it waits. The
// buffer that comes back with octets belongs to the caller.
type waiter interface {
	held() (*buffer, int, error) // what has left the descriptor already; never blocks, changes the deadline
	readable() error             // waits until read would not block, or a deadline passes
	read() (*buffer, int, error)
}

// newWaiter returns nil when the connection gives no access to its descriptor.
func newWaiter(nc net.Conn) waiter {
	raw, layer := descriptor(nc)
	switch {
	case raw == nil:
		return nil
	case layer != nil:
		return &tlsWaiter{layer: layer, raw: raw}
	}
	return newPlainWaiter(raw)
}

// descriptor finds a connection's descriptor, nil when there is no access to
// one, and the TLS layer above it, nil when there is none.
func descriptor(nc net.Conn) (raw syscall.RawConn, layer *tls.Conn) {
	for {
		switch v := nc.(type) {
		case *tls.Conn:
			layer = v
			nc = v.NetConn()
		case *net.TCPConn, *net.UnixConn:
			raw, err := v.(syscall.Conn).SyscallConn()
			if err != nil {
				return nil, layer
			}
			return raw, layer
		case netConner:
			nc = v.NetConn()
		default:
			return nil, layer
		}
	}
}

// plainWaiter reads the descriptor itself: the buffer is taken for each try
// and given back when there was nothing to read.
type plainWaiter struct {
	raw syscall.RawConn
	try func(fd uintptr) bool
	buf *buffer
	n   int
	err error
}

func newPlainWaiter(raw syscall.RawConn) *plainWaiter {
	p := &plainWaiter{raw: raw}
	p.try = p.tryRead // one closure for the connection's life
	return p
}

func (p *plainWaiter) held() (*buffer, int, error) { return nil, 0, nil }

func (p *plainWaiter) readable() error { return p.raw.Read(readable) }

func (p *plainWaiter) read() (*buffer, int, error) {
	p.buf, p.n, p.err = nil, 0, nil
	if err := p.raw.Read(p.try); err != nil {
		return nil, 0, err
	}
	buf := p.buf
	p.buf = nil
	switch {
	case p.err != nil:
		return buf, 0, os.NewSyscallError("read", p.err)
	case p.n == 0:
		return buf, 0, io.EOF
	}
	return buf, p.n, nil
}

func (p *plainWaiter) tryRead(fd uintptr) bool {
	buf := getBuffer()
	for {
		p.n, p.err = syscall.Read(int(fd), buf.b[:])
		if !errors.Is(p.err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(p.err, syscall.EAGAIN) {
		putBuffer(buf)
		return false
	}
	p.buf = buf
	return true
}

// tlsWaiter waits for the descriptor below the TLS layer to become readable
// and only then enters that layer, which needs buffers and a deep stack.
type tlsWaiter struct {
	layer *tls.Conn
	raw   syscall.RawConn
}

// held asks the TLS layer for records that it has taken from the descriptor
// already, by a read whose deadline has passed: crypto/tls bears that
// (a timeout is no permanent error), and it can't block.
func (t *tlsWaiter) held() (*buffer, int, error) {
	if err := t.layer.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, 0, err
	}
	buf, n, err := t.enter()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return buf, n, err
}

func (t *tlsWaiter) readable() error { return t.raw.Read(readable) }

func (t *tlsWaiter) read() (*buffer, int, error) {
	for {
		if err := t.readable(); err != nil {
			return nil, 0, err
		}
		if buf, n, err := t.enter(); n > 0 || err != nil {
			return buf, n, err
		}
	}
}

func (t *tlsWaiter) enter() (*buffer, int, error) {
	buf := getBuffer()
	n, err := t.layer.Read(buf.b[:])
	if n > 0 {
		return buf, n, nil
	}
	putBuffer(buf)
	return nil, 0, err
}

// readable reports whether a read would not block. It leaves an error where the
// read will find it, which a read that only peeks would take away.
func readable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if !errors.Is(err, unix.EINTR) {
			return n != 0 // -1 too: the read finds out
		}
	}
}
