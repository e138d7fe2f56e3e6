package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/posthouse-mail/posthouse/listener"
)

// ProxyProtocol says whether connections come through load balancers, as
// HAProxy, which tell in a PROXY header of version 1 or 2 whose connection it
// is. Rules, limits, logs and what slows guessing down go by that address then.
type ProxyProtocol struct {
	// Mode is "required": a header must come, and nobody else may connect;
	// "optional": a header may come from the networks, and others are clients
	// themselves; or empty, which is the default: a header is no
	// command that anybody knows.
	Mode string `toml:"proxy_protocol"`

	// Networks are the load balancers' own addresses, no clients': "ip",
	// "ip/bits", "ip/mask" or "first-last" each. No header is taken from others.
	Networks []string `toml:"proxy_networks"`
}

var proxyModes = map[string]listener.ProxyMode{"": listener.ProxyOff, "optional": listener.ProxyOptional, "required": listener.ProxyRequired}

// Validate says what is wrong: networks without a mode, and a mode without
// networks, are mistakes.
func (p ProxyProtocol) Validate() error {
	mode, known := proxyModes[p.Mode]
	_, err := listener.ParseIPSet(p.Networks...)
	switch {
	case !known:
		return fmt.Errorf("proxy_protocol is %q, not \"required\", \"optional\" or \"\"", p.Mode)
	case err != nil:
		return fmt.Errorf("proxy_networks: %w", err)
	case mode == listener.ProxyOff && len(p.Networks) > 0:
		return errors.New("proxy_networks need proxy_protocol: \"required\" or \"optional\"")
	case mode != listener.ProxyOff && len(p.Networks) == 0:
		return errors.New("proxy_protocol needs proxy_networks: the addresses of the load balancers")
	}
	return nil
}

// Apply makes a listener take headers.
func (p ProxyProtocol) Apply(l *listener.Config) {
	l.Proxy, l.ProxyFrom = proxyModes[p.Mode], p.networks()
}

// networks are none where Validate has something to say of them.
func (p ProxyProtocol) networks() listener.IPSet {
	set, err := listener.ParseIPSet(p.Networks...)
	if err != nil {
		return listener.IPSet{}
	}
	return set
}

// Balancers returns what knows the load balancers of all services: of whom
// they can't tell, there are many at one address.
func Balancers(services ...ProxyProtocol) func(netip.Addr) bool {
	var sets []listener.IPSet
	for _, p := range services {
		sets = append(sets, p.networks())
	}
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(sets, func(s listener.IPSet) bool { return s.Contains(a) })
	}
}
