package ldapstub

import (
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// inChain is Active Directory's LDAP_MATCHING_RULE_IN_CHAIN.
const inChain = "1.2.840.113556.1.4.1941"

func (e *entry) all(name string) []string {
	for n, values := range e.attributes {
		if strings.EqualFold(n, name) {
			return values
		}
	}
	return nil
}

// fits evaluates a filter (RFC 4511 §4.5.1.7).
func (s *Server) fits(e *entry, f *ber.Packet) bool {
	switch f.Tag {
	case 0, 1: // and, or
		for _, child := range f.Children {
			if s.fits(e, child) == (f.Tag == 1) {
				return f.Tag == 1
			}
		}
		return f.Tag == 0
	case 2: // not
		return len(f.Children) == 1 && !s.fits(e, f.Children[0])
	case 7: // present
		return strings.EqualFold(f.Data.String(), "objectClass") || len(e.all(f.Data.String())) > 0
	case 9:
		return s.extensible(e, f)
	}
	if len(f.Children) < 2 {
		return false
	}
	for _, v := range e.all(f.Children[0].Data.String()) {
		if f.Tag == 4 && substrings(v, f.Children[1]) || f.Tag == 3 && same(v, f.Children[1].Data.String()) {
			return true
		}
	}
	return false
}

func substrings(v string, parts *ber.Packet) bool {
	v = strings.ToLower(v)
	for _, p := range parts.Children {
		part := strings.ToLower(p.Data.String())
		at := strings.Index(v, part)
		if p.Tag == 2 { // final
			return strings.HasSuffix(v, part)
		}
		if at < 0 || p.Tag == 0 && at != 0 { // initial
			return false
		}
		v = v[at+len(part):]
	}
	return true
}

// extensible knows one matching rule: membership through any number of groups,
// by the attribute "member" of the groups alone.
func (s *Server) extensible(e *entry, f *ber.Packet) bool {
	var part [4]string
	for _, child := range f.Children {
		if child.Tag < 4 {
			part[child.Tag] = child.Data.String()
		}
	}
	switch {
	case part[1] != inChain:
		return false
	case strings.EqualFold(part[2], "memberOf"):
		return s.contains(part[3], e.dn, map[string]bool{})
	case strings.EqualFold(part[2], "member"):
		return s.contains(e.dn, part[3], map[string]bool{})
	}
	return false
}

func (s *Server) contains(group, member string, seen map[string]bool) bool {
	if key := strings.ToLower(clean(group)); seen[key] {
		return false
	} else {
		seen[key] = true
	}
	for i := range s.entries {
		if !same(s.entries[i].dn, group) {
			continue
		}
		for _, m := range s.entries[i].all("member") {
			if same(m, member) || s.contains(m, member, seen) {
				return true
			}
		}
	}
	return false
}
