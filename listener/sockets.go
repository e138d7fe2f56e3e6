package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
)

// What a process tells the one that it starts: the number of sockets, which are
// the descriptors from 3 on (sd_listen_fds(3)), whom they are meant for, and
// where to say that it is ready.
const (
	envSockets = "LISTEN_FDS"
	envProcess = "LISTEN_PID"
	envNames   = "LISTEN_FDNAMES"
	envReady   = "POSTHOUSE_READY_FD"

	firstSocket = 3
	maxSockets  = 256
)

// Sockets are the listening sockets of a process: those that it has inherited,
// from systemd or from its predecessor, and those that it has bound itself, all
// of which HandOver gives to its successor. The sockets themselves change
// hands, with all connections that wait in them: nobody is refused in between.
//
// The zero value has inherited none. Safe for concurrent use.
type Sockets struct {
	mu        sync.Mutex
	inherited []net.Listener // and not yet asked for
	open      map[*socket]struct{}
	ready     *os.File // where the predecessor waits; nil: there is none
}

// socket is one that is listened on; Close takes it out of its set.
type socket struct {
	*net.TCPListener
	set *Sockets
}

func (s *socket) Close() error {
	s.set.mu.Lock()
	delete(s.set.open, s)
	s.set.mu.Unlock()
	return s.TCPListener.Close()
}

// Inherited returns the sockets that the environment says this process has
// inherited: LISTEN_FDS of them, if LISTEN_PID names this process or nobody. Call
// it once, early: it takes these variables out of the environment, so that no
// child believes them. It is an error when a socket is none, or none that
// listens on TCP. errors.ErrUnsupported on systems other than Unix, when there
// should be some.
func Inherited() (*Sockets, error) {
	n, pid, ready := os.Getenv(envSockets), os.Getenv(envProcess), os.Getenv(envReady)
	for _, name := range []string{envSockets, envProcess, envNames, envReady} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	s := &Sockets{}
	if n == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return s, nil
	}
	count, err := strconv.Atoi(n)
	if err != nil || count < 0 || count > maxSockets {
		return nil, fmt.Errorf("%s is %.20q", envSockets, n)
	}
	if err := canInherit(); err != nil {
		return nil, err
	}
	for fd := firstSocket; fd < firstSocket+count; fd++ {
		l, err := inherit(fd)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("inherited descriptor %d: %w", fd, err)
		}
		s.inherited = append(s.inherited, l)
	}
	if fd, err := strconv.Atoi(ready); err == nil && fd >= firstSocket+count {
		closeOnExec(fd)
		s.ready = os.NewFile(uintptr(fd), "ready")
	}
	return s, nil
}

// inherit makes a listener of a descriptor, which no child inherits any more.
func inherit(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	l, err := net.FileListener(f) // of a copy
	if err != nil {
		return nil, err
	}
	if _, ok := l.(*net.TCPListener); !ok {
		l.Close()
		return nil, errors.New("not a TCP socket")
	}
	return l, nil
}

// Succeeds reports whether a predecessor waits for this process: from its start
// as a successor until Ready.
func (s *Sockets) Succeeds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready != nil
}

// Ready closes the sockets that were inherited and not asked for, and tells the
// predecessor, if there is one, that this process serves. Call it when all
// listeners listen.
func (s *Sockets) Ready() error {
	s.mu.Lock()
	ready := s.ready
	s.ready = nil
	s.mu.Unlock()
	s.close()
	if ready == nil {
		return nil
	}
	_, err := ready.WriteString(readyText)
	return errors.Join(err, ready.Close())
}

// close closes what was inherited and not asked for.
func (s *Sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.inherited {
		l.Close()
	}
	s.inherited = nil
}

// listen takes the inherited socket of an address, or binds one.
func (s *Sockets) listen(ctx context.Context, address string) (net.Listener, error) {
	if s == nil {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	l := s.claim(address)
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
			return nil, err
		}
	}
	k := &socket{l.(*net.TCPListener), s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*socket]struct{})
	}
	s.open[k] = struct{}{}
	return k, nil
}

// claim returns the inherited socket that is bound to an address; nil: none.
func (s *Sockets) claim(address string) net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inherited) == 0 {
		return nil
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil // whoever binds it will say so
	}
	for i, l := range s.inherited {
		if sameAddress(want, l.Addr().(*net.TCPAddr)) {
			s.inherited = append(s.inherited[:i], s.inherited[i+1:]...)
			return l
		}
	}
	return nil
}

// sameAddress says whether a socket is what would be bound for an address.
// Without a host that is all addresses, of both families where there are both.
func sameAddress(want, have *net.TCPAddr) bool {
	if want.Port != have.Port {
		return false
	}
	if len(want.IP) == 0 {
		return have.IP.IsUnspecified()
	}
	unmapped := func(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap() }
	return unmapped(want) == unmapped(have)
}
