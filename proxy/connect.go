package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mapping"
)

var errSlowLogin = errors.New("the login took longer than Backend.Connect")

// addressOf is where a route leads in a protocol.
func addressOf(r mapping.Route, p Protocol) string {
	return net.JoinHostPort(strings.ToLower(r.Host), strconv.Itoa(p.port(r)))
}

// connect opens a link, if the back end is well and has room. It holds an
// attempt and a place until Link.Close. cut ends ctx.
func (f *Front) connect(ctx context.Context, cut context.CancelCauseFunc, l *Link) error {
	attempt, err := f.Health.start(cut, l.address, l.client.Remote.Addr())
	if err != nil {
		return err
	}
	l.attempt = attempt
	b := &l.backend
	l.release, err = f.slots.enter(ctx, strings.ToLower(l.route.Host), b.Connections, b.Queue)
	if err != nil {
		attempt.end()
		return err
	}
	if err := f.openWithin(ctx, l); err != nil {
		attempt.end()
		l.release()
		return kindOf(l, err)
	}
	return nil
}

// openWithin opens a link within its budget.
func (f *Front) openWithin(ctx context.Context, l *Link) error {
	deadline := time.Now().Add(l.backend.Connect)
	within, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	l.attempt.begin()
	err := f.open(within, l)
	if err == nil {
		l.attempt.connected()
		l.budget = time.AfterFunc(time.Until(deadline), l.expire)
		return nil
	}
	if l.nc != nil {
		l.nc.Close()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // the client's end, or the back end's as others saw it; no failure of its own
	}
	if !isOurs(err) {
		l.attempt.failed(l.stage(), err)
	}
	return err
}

// stage says whether the back end knows the client already.
func (l *Link) stage() stage {
	if l.nc != nil && l.backend.Tell&TellPROXY != 0 {
		return afterIdentity
	}
	return beforeIdentity
}

// open connects, and says and secures what comes before a greeting.
func (f *Front) open(ctx context.Context, l *Link) error {
	b := &l.backend
	nc, err := f.dial(ctx, l)
	if err != nil {
		return err
	}
	l.nc = l.seat.hold(nc)
	l.Conn = wire.New(l.nc, wire.Timeouts{Idle: b.Connect, Line: b.Connect, Read: b.ReadWrite, Write: b.ReadWrite, Handshake: b.Connect})
	if b.Tell&TellPROXY != 0 {
		if err := l.sendHeader(ctx); err != nil {
			return fmt.Errorf("PROXY header: %w", err)
		}
	}
	if b.TLS != mapping.TLSImplicit {
		return nil
	}
	if err := l.Conn.StartTLSClient(ctx, b.tlsConfig(l.route.Host)); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return nil
}

// isOurs says of an error that it tells nothing of the back end.
func isOurs(err error) bool {
	for _, ours := range []error{ErrLoop, errNoSource, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return isUsedUp(err)
}

// kindOf makes an error one of kind ErrUnavailable, unless it is of kind
// ErrLoop.
func kindOf(l *Link, err error) error {
	if errors.Is(err, ErrLoop) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, l.address, err)
}
