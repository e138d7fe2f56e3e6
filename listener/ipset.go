package listener

import (
	"fmt"
	"net/netip"
	"strings"
)

// IPSet is a set of addresses. The zero value is empty.
type IPSet struct {
	ranges []addrRange
}

type addrRange struct{ from, to netip.Addr }

// ParseIPSet reads a set from items in any of the usual notations: a single
// address, "ip/bits", "ip/mask" and "first-last", for IPv4 and (without
// masks) IPv6.
func ParseIPSet(items ...string) (IPSet, error) {
	var s IPSet
	for _, item := range items {
		r, err := parseRange(strings.TrimSpace(item))
		if err != nil {
			return IPSet{}, fmt.Errorf("address set %q: %w", item, err)
		}
		s.ranges = append(s.ranges, r)
	}
	return s, nil
}

// MustParseIPSet is ParseIPSet for sets known when the program is written; it
// panics when one is malformed.
func MustParseIPSet(items ...string) IPSet {
	s, err := ParseIPSet(items...)
	if err != nil {
		panic(err)
	}
	return s
}

// Contains reports whether the set holds an address. An IPv4 address mapped
// to IPv6 is the IPv4 address.
func (s IPSet) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, r := range s.ranges {
		if r.from.BitLen() == a.BitLen() && r.from.Compare(a) <= 0 && a.Compare(r.to) <= 0 {
			return true
		}
	}
	return false
}

// UnmarshalText reads items separated by commas, so that a set can stand in
// a configuration file.
func (s *IPSet) UnmarshalText(text []byte) error {
	parsed, err := ParseIPSet(strings.Split(string(text), ",")...)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// MarshalText writes the set as items separated by commas.
func (s IPSet) MarshalText() ([]byte, error) {
	items := make([]string, len(s.ranges))
	for i, r := range s.ranges {
		items[i] = r.from.String()
		if r.from != r.to {
			items[i] += "-" + r.to.String()
		}
	}
	return []byte(strings.Join(items, ",")), nil
}

func parseRange(item string) (addrRange, error) {
	if first, last, ok := strings.Cut(item, "-"); ok {
		return parseEnds(first, last)
	}
	if ip, mask, ok := strings.Cut(item, "/"); ok {
		if strings.Contains(mask, ".") {
			return parseMask(ip, mask)
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			return addrRange{}, err
		}
		return prefixRange(p), nil
	}
	a, err := netip.ParseAddr(item)
	return addrRange{a.Unmap(), a.Unmap()}, err
}

func parseEnds(first, last string) (addrRange, error) {
	from, err := netip.ParseAddr(strings.TrimSpace(first))
	if err != nil {
		return addrRange{}, err
	}
	to, err := netip.ParseAddr(strings.TrimSpace(last))
	if err != nil {
		return addrRange{}, err
	}
	if from.BitLen() != to.BitLen() || to.Less(from) {
		return addrRange{}, fmt.Errorf("the range ends before it begins")
	}
	return addrRange{from, to}, nil
}

// parseMask reads "10.0.0.0/255.255.255.0"; the ones of the mask must stand
// together.
func parseMask(ip, mask string) (addrRange, error) {
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() {
		return addrRange{}, fmt.Errorf("bad mask %q", mask)
	}
	bits, zero := 0, false
	for _, b := range m.As4() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && zero {
				return addrRange{}, fmt.Errorf("mask %q has a gap", mask)
			}
			if one {
				bits++
			}
			zero = zero || !one
		}
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return addrRange{}, err
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return addrRange{}, err
	}
	return prefixRange(p), nil
}

func prefixRange(p netip.Prefix) addrRange {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < p.Addr().BitLen(); i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	to, _ := netip.AddrFromSlice(last)
	return addrRange{p.Addr(), to}
}
