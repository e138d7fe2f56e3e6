package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNoSource = errors.New("no source address is of its family")

// dial connects to a link's back end. A name with several addresses is tried
// at all of them (RFC 8305), each with a source address of its family. A
// source address whose ports are used up is passed over.
//
// A back end whose host vanishes says nothing any more, not even that. What it
// does not confirm, and whether it is there while nothing is said, is known
// after Backend.ReadWrite, and a quarter of that.
func (f *Front) dial(ctx context.Context, l *Link) (net.Conn, error) {
	sources, patience := l.backend.Sources, l.backend.ReadWrite
	d := net.Dialer{ControlContext: func(_ context.Context, network, address string, raw syscall.RawConn) error {
		if f.isOwn(address) {
			return fmt.Errorf("%w: %s is this front end's own", ErrLoop, address)
		}
		if err := raw.Control(func(fd uintptr) { giveUpAfter(int(fd), patience) }); err != nil {
			return err
		}
		if len(sources) == 0 {
			return nil
		}
		source, ok := f.nextSource(sources, network)
		if !ok {
			return errNoSource
		}
		return bind(raw, source)
	}}
	d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: patience / 4, Interval: patience / 4, Count: 3}
	for tries := len(sources); ; tries-- {
		nc, err := d.DialContext(ctx, "tcp", l.address)
		if err == nil || tries <= 1 || !isUsedUp(err) {
			return nc, err
		}
	}
}

// isUsedUp says that a source address has no port left.
func isUsedUp(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE)
}

func (f *Front) isOwn(address string) bool {
	ap, err := netip.ParseAddrPort(address)
	return f.Own != nil && err == nil && f.Own(ap.Addr().Unmap().WithZone("").String(), int(ap.Port()))
}

// nextSource returns the source address whose turn it is, for network tcp4 or
// tcp6.
func (f *Front) nextSource(sources []netip.Addr, network string) (netip.Addr, bool) {
	turn := f.turn.Add(1)
	for i := range sources {
		a := sources[(int(turn)+i)%len(sources)].Unmap()
		if a.Is4() == (network == "tcp4") {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// bind gives a socket its source address. Its port is chosen when it connects:
// chosen now, it would be taken for all back ends together.
func bind(raw syscall.RawConn, source netip.Addr) error {
	var err error
	bound := raw.Control(func(fd uintptr) {
		if err = portLater(int(fd)); err != nil {
			return
		}
		var to unix.Sockaddr = &unix.SockaddrInet6{Addr: source.As16()}
		if source.Is4() {
			to = &unix.SockaddrInet4{Addr: source.As4()}
		}
		err = unix.Bind(int(fd), to)
	})
	if err = errors.Join(bound, err); err != nil {
		return fmt.Errorf("source address %s: %w", source, err)
	}
	return nil
}
