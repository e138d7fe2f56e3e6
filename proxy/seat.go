package proxy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// farewellOctets is how much a back end may still say after a connection was
// ended here.
const farewellOctets = 64 << 10

// seat is a session's place on a back end. It is taken before the back end is
// connected to, and free when the back end has ended the connection. As a
// net.Conn it is that connection. A nil seat is that of who needs none.
type seat struct {
	net.Conn // nil while the back end is being reached

	sessions *Sessions
	account  *account
	id       string
	remote   netip.Addr
	since    int64 // in nanoseconds of Unix time
	protocol Protocol
	port     uint16

	kicked, closed, empty bool                    // under the lock of sessions, as what follows
	cancel                context.CancelCauseFunc // ends the attempt to reach the back end, or the relay; nil: there is none
	gone                  chan struct{}           // closed when the seat is free; nil: nobody waits for that
}

// cutBy names what ends the attempt to reach the back end, or the relay, with
// ErrKicked, when the session is kicked; nil: there is neither any more.
func (k *seat) cutBy(cancel context.CancelCauseFunc) {
	if k == nil {
		return
	}
	k.sessions.mu.Lock()
	defer k.sessions.mu.Unlock()
	if k.cancel = cancel; k.kicked && cancel != nil {
		cancel(ErrKicked)
	}
}

// hold seats a connection: it is used through what hold returns from now on.
// Closing that frees the seat.
func (k *seat) hold(nc net.Conn) net.Conn {
	if k == nil {
		return nc
	}
	k.sessions.mu.Lock()
	k.Conn = nc
	kicked := k.kicked
	k.sessions.mu.Unlock()
	if kicked {
		k.Close()
	}
	return k
}

// NetConn returns the connection below, as tls.Conn does.
func (k *seat) NetConn() net.Conn { return k.Conn }

// abandon frees a seat whose back end was not reached.
func (k *seat) abandon() {
	if k == nil {
		return
	}
	k.sessions.mu.Lock()
	reached := k.Conn != nil
	k.sessions.mu.Unlock()
	if !reached {
		k.leave()
	}
}

// kick ends the session.
func (k *seat) kick() {
	k.sessions.mu.Lock()
	k.kicked = true
	reached, cancel := k.Conn != nil, k.cancel
	k.sessions.mu.Unlock()
	if cancel != nil {
		cancel(ErrKicked)
	}
	if reached {
		k.Close()
	}
}

func (k *seat) wasKicked() bool {
	if k == nil {
		return false
	}
	k.sessions.mu.Lock()
	defer k.sessions.mu.Unlock()
	return k.kicked
}

// Close ends the connection, and frees the seat as soon as the back end has
// ended it too: until then it may be doing something for the user. It does not
// wait for that.
func (k *seat) Close() error {
	k.sessions.mu.Lock()
	closed := k.closed
	k.closed = true
	k.sessions.mu.Unlock()
	if closed {
		return nil
	}
	if hasEnded(k.Conn) {
		defer k.leave()
		return k.Conn.Close()
	}
	if c, ok := k.Conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
		go k.sayFarewell()
		return nil
	}
	defer k.leave()
	return k.Conn.Close()
}

// hasEnded reports whether the other end has ended the connection, and all that
// it has said was read. False where nobody knows without waiting.
func hasEnded(nc net.Conn) (ended bool) {
	c, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		var octet [1]byte
		n, _, err := unix.Recvfrom(int(fd), octet[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		ended = n == 0 && err == nil
	})
	return ended
}

func (k *seat) sayFarewell() {
	defer k.leave()
	defer k.Conn.Close()
	cut := time.AfterFunc(k.sessions.farewell(), func() { k.Conn.Close() })
	defer cut.Stop()
	_ = k.Conn.SetReadDeadline(time.Time{}) // of whoever read before
	_, _ = io.CopyN(io.Discard, k.Conn, farewellOctets)
}

// leave frees the seat, once.
func (k *seat) leave() {
	s, a := k.sessions, k.account
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.empty {
		return
	}
	k.empty = true
	i := slices.Index(a.seats, k)
	last := len(a.seats) - 1
	a.seats[i], a.seats[last] = a.seats[last], nil
	a.seats = a.seats[:last]
	s.seats--
	if last == 0 {
		delete(s.accounts, a.name)
		if a.free != nil {
			close(a.free)
		}
	}
	if k.gone != nil {
		close(k.gone)
	}
}

// left returns a channel that is closed when the seat is free.
func (k *seat) left() <-chan struct{} {
	k.sessions.mu.Lock()
	defer k.sessions.mu.Unlock()
	if k.gone == nil {
		k.gone = make(chan struct{})
		if k.empty {
			close(k.gone)
		}
	}
	return k.gone
}
