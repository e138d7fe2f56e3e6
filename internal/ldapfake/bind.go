package ldapfake

import (
	"context"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// Bind is ldap.Connector's. The attribute userPassword holds clear text here;
// an entry with an attribute "locked" is ErrDisabled.
func (d *Directory) Bind(ctx context.Context, dn, password string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dn == "" || password == "" {
		return ldap.ErrPassword
	}
	d.binds = append(d.binds, password)
	if err := d.available(ctx); err != nil {
		return err
	}
	e := d.find(dn)
	switch {
	case e == nil || !slices.Contains(e.values["userpassword"], password):
		return ldap.ErrPassword
	case len(e.values["locked"]) > 0:
		return ldap.ErrDisabled
	}
	return nil
}

// Member is ldap.Connector's.
func (d *Directory) Member(ctx context.Context, e *ldap.Entry, group string) (path []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.available(ctx); err != nil {
		return nil, err
	}
	type step struct {
		dn   string
		path []string
	}
	seen := map[string]bool{}
	for waiting := []step{{dn: e.DN}}; len(waiting) > 0; waiting = waiting[1:] {
		s := waiting[0]
		for _, g := range d.entries {
			if seen[g.dn] || !slices.ContainsFunc(g.values["member"], func(m string) bool { return strings.EqualFold(m, s.dn) }) {
				continue
			}
			seen[g.dn] = true
			to := append(slices.Clone(s.path), g.dn)
			if strings.EqualFold(g.dn, group) {
				return to, nil
			}
			waiting = append(waiting, step{g.dn, to})
		}
	}
	return nil, nil
}

// Members is ldap.Connector's.
func (d *Directory) Members(ctx context.Context, group string) ([]*ldap.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.available(ctx); err != nil {
		return nil, err
	}
	var found []*ldap.Entry
	seen := map[string]bool{}
	for waiting := []string{group}; len(waiting) > 0; waiting = waiting[1:] {
		g := d.find(waiting[0])
		if g == nil || seen[g.dn] {
			continue
		}
		seen[g.dn] = true
		members := g.values["member"]
		if members == nil && !slices.Contains(g.values["objectclass"], "groupOfNames") {
			found = append(found, g.copy())
			continue
		}
		waiting = append(waiting, members...)
	}
	return found, nil
}

// GroupsOf is ldap.Connector's.
func (d *Directory) GroupsOf(ctx context.Context, e *ldap.Entry) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.available(ctx); err != nil {
		return nil, err
	}
	var groups []string
	for waiting := []string{e.DN}; len(waiting) > 0; waiting = waiting[1:] {
		for _, g := range d.entries {
			if !slices.Contains(groups, g.dn) && slices.ContainsFunc(g.values["member"], func(m string) bool { return strings.EqualFold(m, waiting[0]) }) {
				groups = append(groups, g.dn)
				waiting = append(waiting, g.dn)
			}
		}
	}
	return groups, nil
}
