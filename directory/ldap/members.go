package ldap

import (
	"context"

	ldap "github.com/go-ldap/ldap/v3"
)

// Members returns the entries, each once, that are in a group, directly or
// through groups in it, without the groups themselves; with the attributes
// that Config names and Config.AccountAttributes. A group that does not
// exist is ErrNoEntry. More than Config.MaxEntries, and groups deeper or more
// than Groups.Depth and Groups.Max, are ErrUnavailable: a part is never taken
// for the whole.
func (c *Connector) Members(ctx context.Context, group string) ([]*Entry, error) {
	if c.c.Type == ActiveDirectory {
		return c.membersInChain(ctx, group)
	}
	d := descent{c: c, seen: map[string]bool{NormalDN(group): true}}
	dns, isGroup, err := c.membersOf(ctx, group)
	switch {
	case err != nil:
		return nil, err
	case !isGroup:
		return nil, ErrNoEntry
	}
	for depth := 1; len(dns) > 0; depth++ {
		if depth > c.c.Groups.Depth {
			return nil, unavailable("members of %s: groups are nested deeper than %d", group, c.c.Groups.Depth)
		}
		if dns, err = d.down(ctx, dns); err != nil {
			return nil, err
		}
	}
	return d.found, nil
}

// membersInChain asks Active Directory, which follows the groups itself.
func (c *Connector) membersInChain(ctx context.Context, group string) ([]*Entry, error) {
	found, err := c.Search(ctx, Query{Attributes: c.memberAttributes(), Filter: "(&(!" + c.groupFilter() + ")(" +
		orName(c.c.Attributes.MemberOf, "memberOf") + inChain + Escape(group) + "))"})
	if err != nil || len(found) > 0 {
		return found, err
	}
	switch there, err := c.read(ctx, group, c.groupFilter(), noAttributes); {
	case err != nil:
		return nil, err
	case there == nil:
		return nil, ErrNoEntry
	}
	return nil, nil
}

// descent is a walk down from a group.
type descent struct {
	c      *Connector
	seen   map[string]bool // DNs in normal form
	groups int
	found  []*Entry
}

// down visits members, and returns the members of those that are groups. What
// is no name is left out.
func (d *descent) down(ctx context.Context, dns []string) (next []string, err error) {
	for _, dn := range dns {
		key := NormalDN(dn)
		if _, err := ldap.ParseDN(dn); err != nil || key == "" || d.seen[key] {
			continue
		}
		d.seen[key] = true
		below, err := d.visit(ctx, dn)
		if err != nil {
			return nil, err
		}
		next = append(next, below...)
	}
	return next, nil
}

// visit takes a member in, and returns its own members when it is a group. A
// member that is not there any more is left out.
func (d *descent) visit(ctx context.Context, dn string) ([]string, error) {
	e, err := d.c.read(ctx, dn, "(!"+d.c.groupFilter()+")", d.c.memberAttributes())
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return d.enter(ctx, dn)
	}
	if d.found = append(d.found, e); len(d.found) > d.c.c.MaxEntries {
		return nil, unavailable("there are more than %d members", d.c.c.MaxEntries)
	}
	return nil, nil
}

func (d *descent) enter(ctx context.Context, dn string) ([]string, error) {
	dns, isGroup, err := d.c.membersOf(ctx, dn)
	if isGroup {
		if d.groups++; d.groups > d.c.c.Groups.Max {
			return nil, unavailable("there are more than %d groups", d.c.c.Groups.Max)
		}
	}
	return dns, err
}

// membersOf returns the DNs that are in a group itself.
func (c *Connector) membersOf(ctx context.Context, dn string) (dns []string, isGroup bool, err error) {
	member := orName(c.c.Attributes.Member, "member")
	e, err := c.read(ctx, dn, c.groupFilter(), []string{member})
	if err != nil || e == nil {
		return nil, false, err
	}
	dns, err = c.values(ctx, e, member)
	return dns, true, err
}

// read returns the entry of a DN if it fits a filter, else nil.
func (c *Connector) read(ctx context.Context, dn, filter string, attributes []string) (*Entry, error) {
	found, err := c.Search(ctx, Query{Base: dn, Scope: Base, Filter: filter, Attributes: attributes, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func (c *Connector) memberAttributes() []string {
	return append(c.defaults, c.c.AccountAttributes()...)
}

func (c *Connector) groupFilter() string { return Filter(c.c.Groups.Filter).whole() }
