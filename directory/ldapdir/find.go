package ldapdir

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// found is what has an address.
type found struct {
	entry *ldap.Entry
	group bool
}

// find returns what has an address, itself or without its sub-address; nil
// when nothing has it.
func (d *Directory) find(ctx context.Context, key string) (*found, error) {
	for _, name := range ldap.Names(key) {
		f, err := d.findExactly(ctx, name)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// findExactly looks for an account, and then for a group.
func (d *Directory) findExactly(ctx context.Context, key string) (*found, error) {
	filter := d.o.Filter.ForUser(key, "")
	e, err := d.one(ctx, ldap.Query{Filter: d.noGroup(filter)})
	if e != nil || err != nil {
		return &found{entry: e}, err
	}
	e, err = d.one(ctx, ldap.Query{Base: d.config.Groups.Base, Filter: "(&" + d.groups + filter + ")"})
	if e == nil {
		return nil, err
	}
	return &found{entry: e, group: true}, nil
}

// noGroup restricts a filter to what is no group.
func (d *Directory) noGroup(filter string) string {
	return "(&" + filter + "(!" + d.groups + "))"
}

// one returns the one entry that fits; nil when there is none.
func (d *Directory) one(ctx context.Context, q ldap.Query) (*ldap.Entry, error) {
	q.Limit = 1
	if q.Attributes == nil {
		q.Attributes = d.attributes
	}
	entries, err := d.ldap.Search(ctx, q)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return entries[0], nil
}

// cut cuts an address at its last @.
func cut(key string) (local, domain string) {
	at := strings.LastIndexByte(key, '@')
	if at < 0 {
		return key, ""
	}
	return key[:at], key[at+1:]
}
