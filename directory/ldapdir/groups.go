package ldapdir

import (
	"context"
	"slices"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// GroupsOf returns the addresses of all groups that an account is in, directly
// or through groups in groups, sorted. Groups without an address have no name
// here. ErrUnknown, ErrUnavailable.
func (d *Directory) GroupsOf(ctx context.Context, account string) ([]string, error) {
	all, err := d.domains(ctx)
	if err != nil {
		return nil, err
	}
	f, err := d.findExactly(ctx, all.canonical(account))
	switch {
	case err != nil:
		return nil, err
	case f == nil || f.group || d.config.MainAddress(f.entry) != account:
		return nil, directory.ErrUnknown
	}
	groups, err := d.ldap.GroupsOf(ctx, f.entry)
	if err != nil {
		return nil, unavailable(err)
	}
	var names []string
	for _, dn := range groups {
		e, err := d.one(ctx, ldap.Query{Base: dn, Scope: ldap.Base, Filter: d.groups})
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue // removed meanwhile
		}
		if name, ok := aliasKey(e.Get(d.config.Attributes.Mail)); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
