package sender

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/resolver"
)

// candidate is a host of this job. Those that a stranger's MX record names
// are found: they are trusted less than those of a route.
type candidate struct {
	Host
	found bool
}

// hosts returns the hosts of a job, in order.
func (s *Sender) hosts(ctx context.Context, j *Job) ([]candidate, error) {
	if len(j.Route.Hosts) > 0 {
		out := make([]candidate, len(j.Route.Hosts))
		for i, h := range j.Route.Hosts {
			out[i] = candidate{Host: s.complete(h, j.Route)}
		}
		return out, nil
	}
	if addr, ok := literal(j.Domain); ok {
		return []candidate{{Host: Host{Name: addr.String(), Port: s.o.Port}, found: true}}, nil
	}
	mx, err := resolver.MailHosts(ctx, s.o.Resolver, mail.DomainKey(j.Domain))
	switch {
	case errors.Is(err, resolver.ErrNullMX):
		return nil, mail.Errorf(556, smtp.EnhancedCode{5, 1, 10}, "%s does not accept mail", j.Domain)
	case errors.Is(err, resolver.ErrNotFound):
		return nil, noSuchDomain(j.Domain).Because(err)
	case err != nil:
		return nil, dnsFailed.Because(err)
	}
	mx, looped := beforeOwn(mx, s.o.Hostname)
	if looped && len(mx) == 0 {
		return nil, loops(j.Domain)
	}
	out := make([]candidate, len(mx))
	for i, m := range mx {
		out[i] = candidate{Host: s.complete(Host{Name: m.Host}, j.Route), found: true}
	}
	return out, nil
}

// complete fills in the port and the mode that a host leaves open.
func (s *Sender) complete(h Host, r Route) Host {
	if h.TLS == TLSOffered && r.Auth.isSet() {
		h.TLS = TLSStart
	}
	switch {
	case h.Port != 0:
	case h.TLS == TLSImplicit:
		h.Port = 465
	case r.Protocol == LMTP:
		h.Port = 24
	default:
		h.Port = s.o.Port
	}
	return h
}

// beforeOwn drops this host and all that are no better from a list of MX
// hosts, as RFC 5321 §5.1 asks for.
func beforeOwn(mx []net.MX, own string) (better []net.MX, looped bool) {
	i := slices.IndexFunc(mx, func(m net.MX) bool { return strings.EqualFold(m.Host, own) })
	if i < 0 {
		return mx, false
	}
	pref := mx[i].Pref
	return slices.DeleteFunc(slices.Clone(mx), func(m net.MX) bool { return m.Pref >= pref }), true
}

// literal reads an address literal as a domain (RFC 5321 §4.1.3).
func literal(domain string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(domain, "[")
	if !ok {
		return netip.Addr{}, false
	}
	inner = strings.TrimSuffix(inner, "]")
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	addr, err := netip.ParseAddr(inner)
	return addr, err == nil
}

// endpoint is one address of a host, ready to dial.
type endpoint struct {
	candidate
	network, address string
}

// endpoints returns the addresses of a host that may be used. The error is
// nil when there is at least one.
func (s *Sender) endpoints(ctx context.Context, c candidate) ([]endpoint, error) {
	if c.isSocket() {
		return []endpoint{{c, "unix", c.Name}}, nil
	}
	addrs, err := s.o.Resolver.LookupIPAddr(ctx, c.Name)
	switch {
	case errors.Is(err, resolver.ErrNotFound) && c.found:
		return nil, noSuchDomain(c.Name).Because(err)
	case err != nil: // a route that is not in the DNS today is a mistake of ours: wait for its repair
		return nil, dnsFailed.Because(err)
	}
	var out []endpoint
	for _, ip := range addrs {
		addr, ok := netip.AddrFromSlice(ip.IP)
		if !ok {
			continue
		}
		at := netip.AddrPortFrom(addr.Unmap(), uint16(c.Port)) //nolint:gosec // dialling an impossible port fails
		if refusal := s.refuse(c, at); refusal != nil {
			err = refusal
			continue
		}
		out = append(out, endpoint{c, "tcp", net.JoinHostPort(addr.Unmap().WithZone(ip.Zone).String(), strconv.Itoa(c.Port))})
	}
	if len(out) > 0 {
		return out, nil
	}
	if err == nil {
		err = noSuchDomain(c.Name)
	}
	return nil, err
}

// refuse says why an address must not be dialled: it is this system itself,
// or a stranger points us into our own network.
func (s *Sender) refuse(c candidate, at netip.AddrPort) error {
	for _, own := range s.o.Own {
		if isOwn(own, at) {
			return loops(c.Name)
		}
	}
	if !c.found || !isSpecial(at.Addr()) || slices.ContainsFunc(s.o.AllowPrivate, func(p netip.Prefix) bool { return p.Contains(at.Addr()) }) {
		return nil
	}
	if at.Addr().IsLoopback() || at.Addr().IsUnspecified() {
		return loops(c.Name)
	}
	return mail.Errorf(550, smtp.EnhancedCode{5, 4, 4}, "Mail host %s has no public address", c.Name)
}

func isOwn(own, at netip.AddrPort) bool {
	if own.Port() != at.Port() {
		return false
	}
	if !own.Addr().IsUnspecified() {
		return own.Addr().Unmap() == at.Addr()
	}
	interfaces, _ := net.InterfaceAddrs() // without them there is nothing to compare with
	return at.Addr().IsLoopback() || slices.ContainsFunc(interfaces, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == at.Addr()
	})
}

// special are networks that no mail host on the Internet stands in, beside
// those that netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // RFC 2544
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // RFC 6052: hides an IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),
}

func isSpecial(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() ||
		slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}
