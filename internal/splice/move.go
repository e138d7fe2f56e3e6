package splice

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// bufferSize is how much is moved at once: a reader that accepts less in
	// Timeouts.Stuck is stuck.
	bufferSize = 32 << 10
	// restOfRecord is how long a TLS record that has begun may keep a buffer
	// and a deep stack; then the wait for the rest of it holds neither.
	restOfRecord = 2 * time.Second
)

// bufferStock lends buffers and counts those that are lent.
type bufferStock struct {
	pool sync.Pool
	lent atomic.Int64
}

// buffers are the same for all pairs.
var buffers bufferStock

func (s *bufferStock) take() *[bufferSize]byte {
	s.lent.Add(1)
	if b, ok := s.pool.Get().(*[bufferSize]byte); ok {
		return b
	}
	return new([bufferSize]byte)
}

func (s *bufferStock) give(b *[bufferSize]byte) {
	s.lent.Add(-1)
	s.pool.Put(b)
}

// move moves what is there, and returns nil when nothing more is.
func (d *direction) move() error {
	if d.src.Raw == nil {
		return d.moveAll()
	}
	d.pair.bursts.Add(1)
	defer d.pair.bursts.Add(-1)
	if err := d.moveAhead(); err != nil {
		return err
	}
	if d.bulk && d.canSplice() {
		return d.splice()
	}
	return d.copy()
}

// moveAhead begins with what was read before the pair was one.
func (d *direction) moveAhead() error {
	ahead := d.src.Ahead
	if d.src.Ahead = nil; len(ahead) == 0 {
		return nil
	}
	return d.write(ahead)
}

// copy moves what is there through a buffer. It goes on with a pipe when that
// is more than the buffer holds.
func (d *direction) copy() error {
	buf := buffers.take()
	defer func() { buffers.give(buf) }()
	for {
		n, err := d.read(buf[:])
		if n > 0 {
			if err := d.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case n == 0 || err != nil:
			return err
		case d.src.TLS: // the layer may hold more, which no descriptor tells
		case n < len(buf):
			return nil
		case d.canSplice():
			d.bulk = true
			return nil // the wait gives the buffer back, and is over at once
		}
	}
}

// read reads what is there, without waiting: 0 and nil when that is nothing.
func (d *direction) read(p []byte) (n int, err error) {
	if d.src.TLS {
		n, err = d.readLayer(p)
	} else {
		n, err = d.readDescriptor(p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, err
}

func (d *direction) readDescriptor(p []byte) (n int, err error) {
	r := &d.reading
	r.p, r.n, r.err = p, 0, nil
	failed := d.src.Raw.Control(r.once) // whatever its deadline
	r.p = nil
	switch {
	case failed != nil:
		return 0, failed
	case r.err == syscall.EAGAIN:
		return 0, r.err
	case r.err != nil:
		return 0, os.NewSyscallError("read", r.err)
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// reading is a read from a descriptor. It is kept, and so is its function: made
// anew for each, they would be garbage for each.
type reading struct {
	once func(fd uintptr)
	p    []byte
	n    int
	err  error
}

func (r *reading) try(fd uintptr) {
	for {
		if r.n, r.err = syscall.Read(int(fd), r.p); !errors.Is(r.err, syscall.EINTR) {
			return
		}
	}
}

// readLayer reads a TLS record that has begun to arrive, or what the layer has
// taken from the descriptor already: with a deadline that has passed it can't
// block, and it bears that.
func (d *direction) readLayer(p []byte) (int, error) {
	deadline := time.Unix(1, 0)
	if d.src.Ready() {
		deadline = time.Now().Add(restOfRecord)
	}
	if err := d.src.Conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return d.src.Conn.Read(p)
}

// moveAll serves a connection that gives no access to its descriptor, until it
// ends: nobody can wait for its input without a buffer.
func (d *direction) moveAll() error {
	if err := d.moveAhead(); err != nil {
		return err
	}
	buf := buffers.take()
	defer buffers.give(buf)
	for {
		_ = d.src.Conn.SetReadDeadline(time.Time{}) // the pair has its own
		n, err := d.src.Conn.Read(buf[:])
		if n > 0 {
			d.pair.bursts.Add(1)
			failed := d.write(buf[:n])
			d.pair.bursts.Add(-1)
			if failed != nil {
				return failed
			}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // which is an interruption
			return err
		}
	}
}

func (d *direction) write(p []byte) error {
	d.spoke()
	_ = d.dst.Conn.SetWriteDeadline(time.Now().Add(d.pair.t.Stuck)) // the write says it if it is closed
	_, err := d.dst.Conn.Write(p)
	d.touch()
	return writeFailed(err)
}

// spoke notes whose word is the last, touch that it was taken.
func (d *direction) spoke() { d.pair.answered.Store(d == &d.pair.down) }
func (d *direction) touch() { d.pair.moved.Store(int64(time.Since(d.pair.start))) }
