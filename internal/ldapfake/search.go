package ldapfake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// Lookup is ldap.Connector's.
func (d *Directory) Lookup(ctx context.Context, user string, attributes ...string) (*ldap.Entry, error) {
	if user == "" || len(user) > 1024 || strings.ContainsRune(user, 0) {
		return nil, ldap.ErrNoEntry
	}
	c := d.Config()
	found, err := d.Search(ctx, ldap.Query{Scope: c.Scope, Filter: d.UserFilter(user), Limit: 1})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ldap.ErrNoEntry
	}
	return found[0], nil
}

// Search is ldap.Connector's, but for attributes: all are returned.
func (d *Directory) Search(ctx context.Context, q ldap.Query) ([]*ldap.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.searches++
	if err := d.available(ctx); err != nil {
		return nil, err
	}
	c := d.Config()
	if q.Base == "" {
		q.Base = c.Base
	}
	if q.Limit == 0 {
		q.Limit = c.MaxEntries
	}
	filter, err := goldap.CompileFilter(q.Filter)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ldap.ErrUnavailable, err)
	}
	var found []*ldap.Entry
	for _, e := range d.entries {
		if !within(e.dn, q) || !e.fits(filter) {
			continue
		}
		if len(found) == q.Limit {
			if c.Several == ldap.SeveralIsFirst {
				break
			}
			return nil, ldap.ErrSeveral
		}
		found = append(found, e.copy())
	}
	return found, nil
}

func (e *entry) copy() *ldap.Entry {
	values := make(map[string][]string, len(e.values))
	for name, v := range e.values {
		values[name] = slices.Clone(v)
	}
	return ldap.NewEntry(e.dn, values)
}

func within(dn string, q ldap.Query) bool {
	dn, base := strings.ToLower(dn), strings.ToLower(q.Base)
	above, inside := strings.CutSuffix(dn, ","+base)
	switch q.Scope {
	case ldap.Base:
		return dn == base
	case ldap.OneLevel:
		return inside && !strings.Contains(above, ",")
	}
	return dn == base || inside
}

// fits evaluates a filter (RFC 4511 §4.5.1.7).
func (e *entry) fits(p *ber.Packet) bool {
	text := func(p *ber.Packet) string { return strings.ToLower(p.Data.String()) }
	switch p.Tag {
	case goldap.FilterAnd, goldap.FilterOr:
		for _, c := range p.Children {
			if e.fits(c) == (p.Tag == goldap.FilterOr) {
				return p.Tag == goldap.FilterOr
			}
		}
		return p.Tag == goldap.FilterAnd
	case goldap.FilterNot:
		return !e.fits(p.Children[0])
	case goldap.FilterPresent:
		return text(p) == "objectclass" || len(e.values[text(p)]) > 0
	case goldap.FilterEqualityMatch:
		for _, v := range e.values[text(p.Children[0])] {
			if strings.ToLower(v) == text(p.Children[1]) {
				return true
			}
		}
	case goldap.FilterSubstrings:
		for _, v := range e.values[text(p.Children[0])] {
			if substrings(strings.ToLower(v), p.Children[1].Children) {
				return true
			}
		}
	}
	return false
}

func substrings(v string, parts []*ber.Packet) bool {
	for _, part := range parts {
		s := strings.ToLower(part.Data.String())
		i := strings.Index(v, s)
		if i < 0 || part.Tag == goldap.FilterSubstringsInitial && i > 0 {
			return false
		}
		if part.Tag == goldap.FilterSubstringsFinal {
			return strings.HasSuffix(v, s)
		}
		v = v[i+len(s):]
	}
	return true
}
