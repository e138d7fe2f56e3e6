package splice

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	parks = true
	// warm is how long a direction waits in a goroutine before it is parked.
	warm = time.Second
)

// poller waits for all parked directions at once, which need no goroutine
// then.
type poller struct {
	file *os.File // of an epoll descriptor
	raw  syscall.RawConn
	fd   int // its number, valid until close
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's own poller takes it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &poller{file: file, raw: raw, fd: fd}, nil
}

func (p *poller) close() { _ = p.file.Close() }

// wait calls wake for directions that can read, until some time at most. It
// returns false when the poller was closed.
func (p *poller) wait(until time.Time, wake func(token uint64)) bool {
	if err := p.file.SetReadDeadline(until); err != nil {
		return false
	}
	var events [64]unix.EpollEvent
	n := 0
	err := p.raw.Read(func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), events[:], 0)
		return n != 0
	})
	for _, e := range events[:max(n, 0)] {
		wake(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
	}
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// park leaves the wait for input to the poller. It reports whether the
// direction is somebody else's now: the caller must not touch it any more.
func (d *direction) park() bool {
	token := d.token()
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
	op := unix.EPOLL_CTL_MOD
	if !d.polled {
		op = unix.EPOLL_CTL_ADD
	}
	d.polled = true
	d.parked.Store(true)
	var refused error
	err := d.src.Raw.Control(func(fd uintptr) {
		refused = unix.EpollCtl(d.pair.poller.fd, op, int(fd), &event)
	})
	if err == nil && refused == nil && !d.pair.closed.Load() {
		return true
	}
	if !d.claim() { // the pair was ended meanwhile
		return true
	}
	d.polled = op == unix.EPOLL_CTL_MOD || refused == nil
	return false
}
