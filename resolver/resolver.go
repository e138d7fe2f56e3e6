// Package resolver asks the domain name system what mail needs to know:
// which hosts take a domain's mail, their addresses, texts and names.
//
// Invariants of this package:
//
//   - "There is no such name or record" ([ErrNotFound], a permanent answer)
//     and "nobody could tell" ([ErrTemporary]: time-out, SERVFAIL, a bogus or
//     garbled answer) are never confused.
//   - Every question ends with its context, and within [Timeout] anyway.
//   - Names with a dot are asked as they are: no search list is applied.
package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Resolver is the part of *net.Resolver that mail needs, so that SPF, DKIM
// and the sender share one, and one fake in tests. Errors are of the kinds of
// this package; a Resolver from elsewhere may be passed through [Typed].
type Resolver interface {
	// LookupMX returns the MX records of a domain, in any order. A host "."
	// is a null MX (RFC 7505).
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
	// LookupIPAddr returns the IPv4 and IPv6 addresses of a host.
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	// LookupTXT returns the TXT records of a name, each joined to one string.
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// LookupAddr returns the names of an address (PTR), with a trailing dot.
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Timeout bounds a question whose context has no earlier deadline.
const Timeout = 30 * time.Second

// System returns the resolver of the operating system.
func System() Resolver { return Typed(net.DefaultResolver) }

// Using returns a resolver that asks the given name servers in turn, port 53
// when it is 0; a question that one does not answer goes to the next.
func Using(servers ...netip.AddrPort) Resolver {
	var asked atomic.Uint32
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, errNoServers
		}
		server := servers[int(asked.Add(1)-1)%len(servers)]
		if server.Port() == 0 {
			server = netip.AddrPortFrom(server.Addr(), 53)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, server.String())
	}
	return Typed(&net.Resolver{PreferGo: true, Dial: dial})
}

// Typed wraps a resolver whose errors are *net.DNSError, as those of
// net.Resolver are, into one whose errors are also of the kinds of this
// package. Names with a dot get a trailing one, so that no search list applies.
func Typed(r Resolver) Resolver { return typed{r} }

type typed struct{ next Resolver }

func (t typed) Unwrap() Resolver { return t.next }

func (t typed) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	records, err := t.next.LookupMX(ctx, absolute(domain))
	if len(records) > 0 {
		err = nil // net.Resolver reports records with impossible names beside the good ones
	}
	return records, kindOf(err)
}

func (t typed) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	addrs, err := t.next.LookupIPAddr(ctx, absolute(host))
	return addrs, kindOf(err)
}

func (t typed) LookupTXT(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	texts, err := t.next.LookupTXT(ctx, absolute(name))
	return texts, kindOf(err)
}

func (t typed) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	names, err := t.next.LookupAddr(ctx, addr)
	if len(names) > 0 {
		err = nil
	}
	return names, kindOf(err)
}

// absolute adds the trailing dot to a name; an address stays as it is, and so
// does a single label: only the machine's own files and search list know such
// names ("localhost", a neighbour in a container network).
func absolute(name string) string {
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") || strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}
