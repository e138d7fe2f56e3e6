package config

import (
	"math"
	"net/netip"
	"slices"

	"github.com/posthouse-mail/posthouse/listener"
)

// FrontEnds are the networks of front ends whose word on who their clients are
// is taken, as "10.0.0.0/8".
type FrontEnds []netip.Prefix

// Contains reports whether an address is a front end's.
func (f FrontEnds) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(f, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Rules are what a service's own rules end with: all users come from the few
// addresses of the front ends, so that what bounds a peer must not bound them.
func (f FrontEnds) Rules(l listener.Limits) []listener.Rule {
	if len(f) == 0 {
		return nil
	}
	l.PeerConnections, l.PeerNew = 0, 0
	if l.Connections == 0 {
		l.Connections = math.MaxInt // limits that are all zero would be those of the service
	}
	items := make([]string, len(f))
	for i, n := range f {
		items[i] = n.String()
	}
	return []listener.Rule{{Prefixes: listener.MustParseIPSet(items...), Action: listener.Allow, Priority: math.MaxInt, Limits: l}}
}
