package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// ProxyMode says whether connections may begin with a PROXY protocol header
// (version 1 or 2), in which a load balancer tells whose connection it passes
// on. The header comes before TLS.
type ProxyMode int

// The modes. The zero value looks for no header: one that comes is input like
// any other, and no protocol knows it as a command.
const (
	ProxyOff      ProxyMode = iota
	ProxyOptional           // from Config.ProxyFrom a header may come; others are clients themselves
	ProxyRequired           // only Config.ProxyFrom may connect, and a header must come
)

// A header must be complete within headerTimeout. Of one proxy no more than
// maxPending connections may wait for theirs.
const (
	headerTimeout = 3 * time.Second
	maxPending    = 1024
)

// Proxied is what is known of a connection that came through a proxy. What is
// not printable ASCII in it is as if it were not told.
type Proxied struct {
	Through netip.AddrPort // the proxy's own address
	// Told: the header has told the client's address, and it is no proxy's. If
	// not, the connection's address is the proxy's, and whatever is granted to
	// that address must not be granted to whoever is behind it; Allow rules
	// don't apply either, nor what bounds one peer.
	Told bool

	UniqueID  string      // what the proxy calls the connection, at most 128 octets
	Authority string      // the host that the client asked for in its TLS handshake with the proxy
	TLS       *ProxiedTLS // of that handshake; nil: there was none
	Hops      int         // how many more proxies may come (see ProxyHops); 0: not told
}

// ProxiedTLS is what a proxy tells of its TLS layer with the client.
type ProxiedTLS struct {
	Version, Cipher string // as the proxy writes them, as TLSv1.3
	CommonName      string // of the client's certificate; empty: there is none
	Verified        bool   // that certificate was verified
}

// ProxyHops is the type of the extension of a PROXY header of version 2 in
// which front ends of this library tell how many more proxies may come, as one
// octet: one of those that are free for applications.
const ProxyHops = 0xE7

// ProxiedOf returns what is known of a connection that came through a proxy,
// also when it is wrapped in others that have NetConn; nil: it came straight.
func ProxiedOf(nc net.Conn) *Proxied {
	for nc != nil {
		if c, ok := nc.(*Conn); ok {
			return c.Proxied()
		}
		inner, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = inner.NetConn()
	}
	return nil
}

// origin is where a connection comes from, when it came through a proxy.
type origin struct {
	Proxied
	remote, local net.Addr // as told
}

// pending counts connections that wait for their header, by proxy.
type pending struct {
	mu      sync.Mutex
	byProxy map[netip.Addr]int
}

func (p *pending) enter(proxy netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byProxy == nil {
		p.byProxy = make(map[netip.Addr]int)
	}
	if p.byProxy[proxy] >= maxPending {
		return false
	}
	p.byProxy[proxy]++
	return true
}

func (p *pending) leave(proxy netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byProxy[proxy]--; p.byProxy[proxy] == 0 {
		delete(p.byProxy, proxy)
	}
}

// unwrap reads the header of a connection from a proxy and judges the client
// that it tells of.
func (l *Listener) unwrap(nc net.Conn, proxy netip.Addr) {
	c, err := l.readOrigin(nc)
	l.pending.leave(proxy)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET): // as who only looks whether somebody listens
		nc.Close()
		return
	case err != nil:
		l.refuse(nc, proxy, "PROXY header: "+err.Error())
		return
	}
	rules := l.rules
	if !c.from.Told {
		rules = l.denials
	}
	if l.admit(c, rules) {
		l.finish(c)
	}
}

// readOrigin makes a Conn of a connection from a proxy.
func (l *Listener) readOrigin(nc net.Conn) (*Conn, error) {
	stop := context.AfterFunc(l.ctx, func() { nc.Close() })
	defer stop()
	if err := nc.SetReadDeadline(time.Now().Add(headerTimeout)); err != nil {
		return nil, err
	}
	from := &origin{}
	octets, err := readHeader(nc)
	switch {
	case err == nil:
		if from, err = parseHeader(octets); err != nil {
			return nil, err
		}
	case l.config.Proxy == ProxyOptional && isAbsent(octets, err):
		if len(octets) > 0 {
			nc = &replayed{Conn: nc, early: octets}
		}
	default:
		return nil, err
	}
	if err := nc.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if ap, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		from.Through = netip.AddrPortFrom(ap.AddrPort().Addr().Unmap(), ap.AddrPort().Port())
	}
	from.Told = from.Told && !l.config.ProxyFrom.Contains(addrOf(from.remote))
	return &Conn{Conn: nc, from: from, release: func() {}}, nil
}

// isAbsent says that no header comes: what came is none, or nothing came in
// all the time that a header has. Half a header is not absent.
func isAbsent(octets []byte, err error) bool {
	return errors.Is(err, errNoHeader) || len(octets) == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// replayed gives back what was read in search of a header. It hides the
// connection below, from which nobody may read past it.
type replayed struct {
	net.Conn
	early []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.early) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.early)
	r.early = r.early[n:]
	return n, nil
}
