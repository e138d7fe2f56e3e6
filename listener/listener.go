// Package listener decides who may connect, how often and under which
// limits, before any protocol octet is exchanged, and hands on connections
// that are ready to be served.
//
// Invariants of this package:
//
//   - A connection is judged by [Decide] and [Admit], two pure functions,
//     before a single octet is read or written, TLS included; a connection
//     from a proxy after its PROXY header, which has a deadline and never
//     delays another connection.
//   - Only a listed proxy can tell a client's address, and a proxy's own address
//     is never that of a client who is allowed something.
//   - A TLS handshake has a deadline and never delays another connection.
//   - What is counted for a connection is given back when it is closed, once.
//   - Memory for peers is bounded: a peer with no connection and no running
//     interval is forgotten.
package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config describes a listener. Only Address is required.
type Config struct {
	Address          string        // "host:port", as net.Listen takes it
	TLS              *tls.Config   // not nil: connections are encrypted from the first octet
	HandshakeTimeout time.Duration // of that encryption; 0 means 30 seconds
	Rules            []Rule        // the listener's own rules
	Service          []Rule        // the rules of its service, asked where Rules pass on or don't match
	Limits           Limits        // of connections that no Allow rule with limits of its own admitted
	Proxy            ProxyMode     // whether a PROXY protocol header may come first; rules and limits are then applied to the address that it tells
	ProxyFrom        IPSet         // who may send one
	Sockets          *Sockets      // where sockets come from that another process has handed over, and who hands them on; nil: the address is always bound anew
	Logger           *slog.Logger  // nil means slog.Default()
}

// Listener is a net.Listener that applies rules and limits and performs TLS
// handshakes. Accept returns connections of type *Conn.
type Listener struct {
	config Config
	inner  net.Listener
	log    *slog.Logger
	flows  *flows
	ready  chan net.Conn
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   sync.WaitGroup

	rules, denials [][]Rule // the levels of rules, and of those among them that don't allow
	pending        pending
}

// Listen binds the address, or takes a socket that was handed over, and begins
// to accept. Close the listener to stop.
func Listen(ctx context.Context, c Config) (*Listener, error) {
	inner, err := c.Sockets.listen(ctx, c.Address)
	if err != nil {
		return nil, err
	}
	return Wrap(inner, c), nil
}

// Wrap applies a configuration, without its Address, to a listener that is
// bound already. The new listener owns inner.
func Wrap(inner net.Listener, c Config) *Listener {
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 30 * time.Second
	}
	l := &Listener{config: c, inner: inner, log: c.Logger, flows: newFlows(), ready: make(chan net.Conn)}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.rules = [][]Rule{c.Rules, c.Service}
	l.denials = [][]Rule{withoutAllow(c.Rules), withoutAllow(c.Service)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.done.Add(1)
	go l.accept()
	return l
}

// Accept returns the next connection that was admitted and, where TLS is
// configured, has shaken hands.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close stops listening and drops connections that nobody accepted yet.
// Accepted connections live on.
func (l *Listener) Close() error {
	l.cancel()
	err := l.inner.Close()
	l.done.Wait()
	return err
}

// Stop stops listening and drops no connection: those that have come already
// are handed out by Accept, which then returns net.ErrClosed. It does not wait.
// Who does not accept them calls Close.
func (l *Listener) Stop() { _ = l.inner.Close() }

func (l *Listener) accept() {
	defer l.done.Done()
	for {
		nc, err := l.inner.Accept()
		switch {
		case err == nil:
			l.judge(nc)
		case l.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			go func() {
				l.done.Wait() // for those who are shaking hands or wait for Accept
				l.cancel()
			}()
			return
		default: // out of descriptors, most likely: others must close first
			l.log.Warn("accept failed", "listener", l.Addr().String(), "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-l.ctx.Done():
			}
		}
	}
}

// judge admits or closes a connection, or has its PROXY header read first.
func (l *Listener) judge(nc net.Conn) {
	addr := addrOf(nc.RemoteAddr())
	switch {
	case l.config.Proxy != ProxyOff && l.config.ProxyFrom.Contains(addr):
		if !l.pending.enter(addr) {
			l.refuse(nc, addr, "too many connections without a PROXY header")
			return
		}
		l.background(func() { l.unwrap(nc, addr) })
	case l.config.Proxy == ProxyRequired:
		l.refuse(nc, addr, "not a listed proxy")
	default:
		c := &Conn{Conn: nc}
		switch {
		case !l.admit(c, l.rules):
		case l.config.TLS == nil:
			l.finish(c)
		default:
			l.background(func() { l.finish(c) })
		}
	}
}

// admit applies rules and limits to a connection; it closes one that it does
// not admit.
func (l *Listener) admit(c *Conn, rules [][]Rule) bool {
	addr := addrOf(c.RemoteAddr())
	d := Decide(addr, rules...)
	if d.Action == Deny {
		l.refuse(c.Conn, addr, d.String())
		return false
	}
	limits, key := l.config.Limits, flowKey(nil)
	if d.Rule != nil && d.Rule.Limits != (Limits{}) {
		limits, key = d.Rule.Limits, flowKey(d.Rule)
	}
	if c.from != nil && !c.from.Told { // the proxy itself, as for a health check, or whoever is behind it
		limits.PeerConnections, limits.PeerNew = 0, 0
	}
	release, err := l.flows.enter(key, limits, addr, time.Now())
	if err != nil {
		l.refuse(c.Conn, addr, err.Error())
		return false
	}
	c.release = release
	return true
}

func (l *Listener) refuse(nc net.Conn, addr netip.Addr, by string) {
	l.log.Info("connection refused", "listener", l.Addr().String(), "remote", addr.String(), "by", by)
	nc.Close()
}

func (l *Listener) background(f func()) {
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		f()
	}()
}

// finish performs the TLS handshake, if there is to be one, and hands the
// connection on.
func (l *Listener) finish(c *Conn) {
	if l.config.TLS != nil && !l.shakeHands(c) {
		c.Close()
		return
	}
	l.deliver(c)
}

func (l *Listener) shakeHands(c *Conn) bool {
	ctx, cancel := context.WithTimeout(l.ctx, l.config.HandshakeTimeout)
	defer cancel()
	layer := tls.Server(c.Conn, l.config.TLS)
	if err := layer.HandshakeContext(ctx); err != nil {
		l.log.Debug("TLS handshake failed", "listener", l.Addr().String(), "remote", c.RemoteAddr().String(), "err", err)
		return false
	}
	c.Conn = layer
	return true
}

func (l *Listener) deliver(c *Conn) {
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		c.Close()
	}
}

// Conn is an admitted connection.
type Conn struct {
	net.Conn
	once    sync.Once
	release func()
	from    *origin // nil: no proxy
}

// RemoteAddr returns the client's address: as a proxy told it, or else the
// connection's.
func (c *Conn) RemoteAddr() net.Addr {
	if c.from != nil && c.from.Told {
		return c.from.remote
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr returns the address that the client connected to: as a proxy told
// it, or else the connection's.
func (c *Conn) LocalAddr() net.Addr {
	if c.from != nil && c.from.Told {
		return c.from.local
	}
	return c.Conn.LocalAddr()
}

// Proxied returns what is known of a connection that came through a proxy;
// nil: it came straight.
func (c *Conn) Proxied() *Proxied {
	if c.from == nil {
		return nil
	}
	return &c.from.Proxied
}

// NetConn returns the connection below, as tls.Conn does.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and gives back what was counted for it.
func (c *Conn) Close() error {
	defer c.once.Do(c.release)
	return c.Conn.Close()
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// String says which rule decided, for logs.
func (d Decision) String() string {
	if d.Rule == nil {
		return "default"
	}
	return fmt.Sprintf("%v rule with priority %d", d.Action, d.Rule.Priority)
}
