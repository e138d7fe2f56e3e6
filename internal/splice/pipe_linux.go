package splice

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of pipes. A direction for which there is none uses a buffer.
const (
	pipeSize  = 256 << 10 // of kernel memory, when full
	pipeLimit = 128       // at the same time
	pipesKept = 8         // while nobody uses them
)

// pipe is kernel memory through which octets go from one socket to the other.
// In the stock it is empty.
type pipe struct{ r, w int }

// pipeStock lends pipes.
type pipeStock struct {
	mu   sync.Mutex
	free []*pipe
	lent int
}

// pipes are the same for all pairs.
var pipes pipeStock

// take returns nil when there is no pipe to be had.
func (s *pipeStock) take() *pipe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lent == pipeLimit {
		return nil
	}
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		s.lent++
		return p
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	s.lent++
	// A user may have only so much in pipes; a smaller one does as well.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: fds[0], w: fds[1]}
}

// give takes a pipe back; left is what could not be moved out of it.
func (s *pipeStock) give(p *pipe, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent--
	if left == 0 && len(s.free) < pipesKept {
		s.free = append(s.free, p)
		return
	}
	unix.Close(p.r)
	unix.Close(p.w)
}

// canSplice reports whether the kernel may move the octets by itself.
func (d *direction) canSplice() bool {
	return !d.noPipe && !d.src.TLS && !d.dst.TLS && d.src.Raw != nil && d.dst.Raw != nil
}

// splice moves what is there through a pipe.
func (d *direction) splice() error {
	p := pipes.take()
	if p == nil {
		d.bulk = false
		return d.copy()
	}
	left, total := 0, 0
	defer func() { pipes.give(p, left) }()
	for {
		n, err := d.fill(p)
		if n == 0 {
			d.bulk = total >= bufferSize
			return err
		}
		total += n
		if left, err = d.drain(p, n); err != nil {
			return err
		}
	}
}

// fill moves what is there into the pipe, without waiting: 0 and nil when that
// is nothing.
func (d *direction) fill(p *pipe) (n int, err error) {
	failed := d.src.Raw.Control(func(fd uintptr) { // whatever its deadline
		n, err = spliceOnce(int(fd), p.w, pipeSize)
	})
	switch {
	case failed != nil:
		return 0, failed
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case errors.Is(err, unix.EINVAL): // a kind of socket that can't; nothing was moved
		d.noPipe = true
		return 0, nil
	case err != nil:
		return 0, os.NewSyscallError("splice", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// drain moves n octets out of the pipe. It returns how many are still there.
func (d *direction) drain(p *pipe, n int) (left int, err error) {
	d.spoke()
	for n > 0 {
		moved := 0
		_ = d.dst.Conn.SetWriteDeadline(time.Now().Add(d.pair.t.Stuck)) // renewed whenever something moved
		failed := d.dst.Raw.Write(func(fd uintptr) bool {
			moved, err = spliceOnce(p.r, int(fd), n)
			return !errors.Is(err, unix.EAGAIN)
		})
		switch {
		case failed != nil:
			return n, writeFailed(failed)
		case errors.Is(err, unix.EINVAL):
			return d.drainByHand(p, n)
		case err != nil:
			return n, writeFailed(os.NewSyscallError("splice", err))
		}
		n -= moved
		d.touch()
	}
	return 0, nil
}

// drainByHand is for a destination that the kernel can't splice to.
func (d *direction) drainByHand(p *pipe, n int) (left int, err error) {
	d.noPipe = true
	buf := buffers.take()
	defer buffers.give(buf)
	for n > 0 {
		k, err := syscall.Read(p.r, buf[:min(n, len(buf))])
		if err != nil {
			return n, os.NewSyscallError("read", err)
		}
		n -= k
		if err := d.write(buf[:k]); err != nil {
			return n, err
		}
	}
	return 0, nil
}

func spliceOnce(from, to, n int) (int, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if !errors.Is(err, unix.EINTR) {
			return int(max(moved, 0)), err
		}
	}
}
