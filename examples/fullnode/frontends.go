package main

import (
	"math"
	"net/netip"
	"slices"

	"github.com/posthouse-mail/posthouse/listener"
)

// trusted_front_ends = ["10.0.0.0/8"] makes the node a back end: it takes the
// word of the front ends there on who their clients are, by XCLIENT and IMAP's
// ID. A front end that tells nothing is nobody: it may not relay, even from
// relay.trusted_networks.

// isFrontEnd reports whether an address is a front end's.
func (c *Config) isFrontEnd(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(c.TrustedFrontEnds, func(n netip.Prefix) bool { return n.Contains(a) })
}

// rulesOf returns the listener rules of a service, and after those of the
// configuration one for the front ends: all users come from their few
// addresses, so that what bounds a peer must not bound them.
func (c *Config) rulesOf(s *ServiceConfig) []listener.Rule {
	rules := s.rules()
	if len(c.TrustedFrontEnds) == 0 || s == &c.HTTP {
		return rules
	}
	limits := s.limits()
	limits.PeerConnections, limits.PeerNew = 0, 0
	if limits.Connections == 0 {
		limits.Connections = math.MaxInt // limits that are all zero would be those of the service
	}
	return append(rules, listener.Rule{
		Prefixes: setOf(c.TrustedFrontEnds), Action: listener.Allow, Priority: math.MaxInt, Limits: limits,
	})
}

func setOf(networks []netip.Prefix) listener.IPSet {
	items := make([]string, len(networks))
	for i, n := range networks {
		items[i] = n.String()
	}
	return listener.MustParseIPSet(items...) // of prefixes, which all are sets
}
