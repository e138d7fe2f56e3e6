package ldap

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// inChain is Active Directory's matching rule that follows groups in groups
// (LDAP_MATCHING_RULE_IN_CHAIN). It does not know a user's primary group.
const inChain = ":1.2.840.113556.1.4.1941:="

// noAttributes asks for entries without any (RFC 4511 §4.5.1.8).
var noAttributes = []string{"1.1"}

// Member reports whether an entry is in a group, directly or through groups in
// it, within Groups.Depth and Groups.Max: path is empty when it is not. It is
// the way there, the DNs of groups from one that the entry is in itself to the
// group asked for; of Active Directory, which is asked once, that group alone:
// see GroupPath. A group that does not exist has no members. ErrUnavailable.
func (c *Connector) Member(ctx context.Context, e *Entry, group string) (path []string, err error) {
	wanted := NormalDN(group)
	if slices.ContainsFunc(e.All(c.c.Attributes.MemberOf), func(dn string) bool { return NormalDN(dn) == wanted }) {
		return []string{group}, nil
	}
	if c.c.Type != ActiveDirectory {
		return c.GroupPath(ctx, e, group)
	}
	found, err := c.Search(ctx, Query{
		Base: e.DN, Scope: Base, Attributes: noAttributes, Limit: 1,
		Filter: "(" + orName(c.c.Attributes.MemberOf, "memberOf") + inChain + Escape(group) + ")",
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return []string{group}, nil
}

// GroupPath is Member that finds the whole path from every kind of server, one
// group after the other.
func (c *Connector) GroupPath(ctx context.Context, e *Entry, group string) (path []string, err error) {
	wanted, below := NormalDN(group), map[string]string{}
	err = c.climb(ctx, e, func(group, member string) bool {
		below[NormalDN(group)] = member
		if NormalDN(group) != wanted {
			return true
		}
		for at := group; at != e.DN; at = below[NormalDN(at)] {
			path = append(path, at)
		}
		return false
	})
	slices.Reverse(path)
	return path, err
}

// GroupsOf returns the DNs of all groups that an entry is in, directly or
// through others, within Groups.Depth. More than Groups.Max are
// ErrUnavailable.
func (c *Connector) GroupsOf(ctx context.Context, e *Entry) (groups []string, err error) {
	if c.c.Type != ActiveDirectory || c.c.Attributes.Member == "" {
		err = c.climb(ctx, e, func(group, _ string) bool {
			groups = append(groups, group)
			return true
		})
		return groups, err
	}
	found, err := c.groupsWith(ctx, c.c.Attributes.Member+inChain+Escape(e.DN))
	for _, g := range found {
		groups = append(groups, g.DN)
	}
	return groups, err
}

// climb visits the groups above an entry, each once, the nearest first,
// together with what is in it; until visit returns false.
func (c *Connector) climb(ctx context.Context, e *Entry, visit func(group, member string) (goOn bool)) error {
	seen := map[string]bool{NormalDN(e.DN): true}
	level := []string{e.DN}
	for depth := 0; depth < c.c.Groups.Depth && len(level) > 0; depth++ {
		var next []string
		for _, member := range level {
			groups, err := c.above(ctx, member)
			if err != nil {
				return err
			}
			for _, group := range groups {
				key := NormalDN(group)
				if seen[key] {
					continue
				}
				if seen[key] = true; len(seen) > c.c.Groups.Max+1 {
					return unavailable("groups of %s: there are more than %d", e.DN, c.c.Groups.Max)
				}
				if !visit(group, member) {
					return nil
				}
				next = append(next, group)
			}
		}
		level = next
	}
	return nil
}

// above returns the groups that an entry is in itself.
func (c *Connector) above(ctx context.Context, dn string) ([]string, error) {
	if c.c.Attributes.Member != "" {
		found, err := c.groupsWith(ctx, c.c.Attributes.Member+"="+Escape(dn))
		groups := make([]string, len(found))
		for i, g := range found {
			groups[i] = g.DN
		}
		return groups, err
	}
	if c.c.Attributes.MemberOf == "" {
		return nil, unavailable("groups of %s: neither Attributes.Member nor Attributes.MemberOf is there to tell", dn)
	}
	e, err := c.read(ctx, dn, anything, []string{c.c.Attributes.MemberOf})
	if err != nil || e == nil {
		return nil, err
	}
	return c.values(ctx, e, c.c.Attributes.MemberOf)
}

// groupsWith returns the groups that fit a condition.
func (c *Connector) groupsWith(ctx context.Context, condition string) ([]*Entry, error) {
	return c.Search(ctx, Query{
		Base: c.c.Groups.Base, Attributes: noAttributes,
		Filter: "(&" + Filter(c.c.Groups.Filter).whole() + "(" + condition + "))",
	})
}

// values returns all values of an attribute, also those that Active Directory
// gives only in ranges ("member;range=0-1499", then "member;range=1500-*").
func (c *Connector) values(ctx context.Context, e *Entry, attribute string) ([]string, error) {
	all := e.All(attribute)
	for {
		values, next := rangeOf(e, attribute)
		all = append(all, values...)
		switch most := c.c.MaxEntries + c.c.Groups.Max; {
		case len(all) > most:
			return nil, unavailable("%s of %s has more than %d values", attribute, e.DN, most)
		case next == 0:
			return all, nil
		case len(values) == 0:
			return nil, unavailable("%s of %s: the server gives an empty range", attribute, e.DN)
		}
		found, err := c.Search(ctx, Query{
			Base: e.DN, Scope: Base, Filter: anything, Limit: 1,
			Attributes: []string{fmt.Sprintf("%s;range=%d-*", attribute, next)},
		})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, unavailable("%s of %s: the entry went away", attribute, e.DN)
		}
		e = found[0]
	}
}

// rangeOf returns a range of values and where the next one begins; 0: there is
// none.
func rangeOf(e *Entry, attribute string) (values []string, next int) {
	prefix := strings.ToLower(attribute) + ";range="
	for _, a := range e.attributes {
		if bounds, ok := strings.CutPrefix(strings.ToLower(a.name), prefix); ok {
			_, last, _ := strings.Cut(bounds, "-")
			if n, err := strconv.Atoi(last); err == nil {
				next = n + 1
			}
			return a.values, next
		}
	}
	return nil, 0
}

func orName(name, def string) string {
	if name == "" {
		return def
	}
	return name
}
