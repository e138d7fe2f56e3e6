//go:build unix

package listener

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// canInherit says whether a process can hand sockets to another.
func canInherit() error { return nil }

// closeOnExec keeps a descriptor from children.
func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// copyOf returns a copy of a socket's descriptor. TCPListener.File would make
// the socket a blocking one, for both processes: an Accept that nothing
// interrupts.
func copyOf(l *net.TCPListener) (*os.File, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	outer := raw.Control(func(socket uintptr) {
		fd, err = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(outer, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}
