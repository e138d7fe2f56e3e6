// Package wire is the connection under every line-based protocol engine:
// bounded lines, batched output, rolling deadlines, STARTTLS, and no buffers
// while nothing happens.
//
// Invariants of this package:
//
//   - Output is flushed before a read blocks and whenever flushSize octets
//     are pending, never per line.
//   - A connection that waits for input holds no buffer (TCP, with or without
//     TLS); buffers come from a pool when octets arrive.
//   - Every read, write and handshake has a deadline. A line that has begun
//     must end within LineTimeout; a transfer must keep its minimum rate.
//   - No octet that arrived before a TLS handshake, or before compression
//     began, is seen after it.
//
// One goroutine reads. Writes may come from any goroutine, one at a time
// being the caller's business when several writes belong together.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of reading. Errors of the network are returned as they are;
// a missed deadline is os.ErrDeadlineExceeded.
var (
	ErrLineTooLong = errors.New("line too long")
	ErrInterrupted = errors.New("server is stopping") // from ReadLine, before a line has begun
	ErrEarlyInput  = errors.New("input before the TLS handshake")
	ErrAlreadyTLS  = errors.New("TLS is already active")
)

// Timeouts of a connection. A zero field means its default.
type Timeouts struct {
	Idle      time.Duration // waiting for a command; default 5 minutes
	Line      time.Duration // from the first octet of a line to its end; default 1 minute
	Read      time.Duration // each read inside a transfer; default 3 minutes
	Write     time.Duration // each write; default 3 minutes
	Handshake time.Duration // a TLS handshake; default 30 seconds
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Idle, 5*time.Minute)
	set(&t.Line, time.Minute)
	set(&t.Read, 3*time.Minute)
	set(&t.Write, 3*time.Minute)
	set(&t.Handshake, 30*time.Second)
	return t
}

// Conn is a client's connection as a protocol engine sees it.
type Conn struct {
	outer net.Conn // what was accepted: closes, addresses
	nc    net.Conn // what is read and written: outer, or TLS over it
	wait  waiter   // how to wait for input without a buffer; nil: not possible
	tls   *tls.ConnectionState

	t           Timeouts
	in          *buffer // nil while nothing is buffered
	r, w        int     // unread octets are in.b[r:w]
	long        []byte  // a line that did not fit the buffer
	transfer    transfer
	interrupted atomic.Bool
	zip         *compression                             // nil: none
	next        func(end func())                         // see HandOver
	goOn        func(ctx context.Context, arrived error) // see Rest
	awake       bool                                     // Rest has found something to read

	mu  sync.Mutex // guards out
	out *buffer    // nil while nothing is pending
	n   int        // pending octets
	err error      // of an earlier write: later writes fail with it
}

// New takes over an accepted connection.
func New(nc net.Conn, t Timeouts) *Conn {
	c := &Conn{outer: nc, nc: nc, t: t.withDefaults()}
	if tc, ok := innermostTLS(nc); ok {
		state := tc.ConnectionState()
		c.tls = &state
	}
	c.wait = newWaiter(nc)
	return c
}

// netConner is what tls.Conn and listener.Conn have: the connection below.
type netConner interface{ NetConn() net.Conn }

func innermostTLS(nc net.Conn) (*tls.Conn, bool) {
	for {
		if tc, ok := nc.(*tls.Conn); ok {
			return tc, true
		}
		inner, ok := nc.(netConner)
		if !ok {
			return nil, false
		}
		nc = inner.NetConn()
	}
}

// TLS returns the state of the TLS layer, nil when there is none.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// NetConn returns the connection that was handed to New.
func (c *Conn) NetConn() net.Conn { return c.outer }

// Remote returns the client's address; the zero Addr when it has none.
func (c *Conn) Remote() netip.Addr { return addrOf(c.outer.RemoteAddr()) }

// Local returns the server's address; the zero Addr when it has none.
func (c *Conn) Local() netip.Addr { return addrOf(c.outer.LocalAddr()) }

func addrOf(a net.Addr) netip.Addr {
	if ap, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return ap.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// SetIdleTimeout changes how long ReadLine waits for a line to begin.
func (c *Conn) SetIdleTimeout(d time.Duration) { c.t.Idle = d }

// Interrupt makes ReadLine return ErrInterrupted as soon as it waits for a
// line to begin, now or later. Lines and transfers that have begun go on.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.outer.SetReadDeadline(time.Unix(1, 0))
}

// Close closes the connection at once; pending output is dropped.
func (c *Conn) Close() error { return c.outer.Close() }

// Release gives the buffers back after the last use of the connection.
func (c *Conn) Release() {
	c.dropInput()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = net.ErrClosed
	c.dropOutput()
	if c.zip != nil {
		c.zip.dropInput()
	}
}
