package ldapdir_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
	"github.com/posthouse-mail/posthouse/mail"
)

const (
	base   = "dc=example,dc=test"
	people = "ou=people," + base
	groups = "ou=groups," + base
)

// tree is what an LDAP server lets an administrator do.
type tree interface {
	Add(dn string, attributes map[string][]string) error
	Set(dn, attribute string, values ...string) error
	Delete(dn string) error
}

// fakeTree is a tree in memory.
type fakeTree struct{ *ldapfake.Directory }

func (f fakeTree) Add(dn string, attributes map[string][]string) error {
	var pairs []string
	for name, values := range attributes {
		for _, v := range values {
			pairs = append(pairs, name, v)
		}
	}
	f.Directory.Add(dn, pairs...)
	return nil
}

func (f fakeTree) Set(dn, attribute string, values ...string) error {
	f.Directory.Set(dn, attribute, values...)
	return nil
}

func (f fakeTree) Delete(dn string) error {
	f.Directory.Delete(dn)
	return nil
}

// edited is a Directory with an Editor that writes entries as an administrator
// would: an alias of one account is an attribute of his, one of several is a
// group, and a foreign address is a contact in a group.
type edited struct {
	*ldapdir.Directory
	directory.Editor // of what there is no need for
	tree             tree
	mail             string              // the attribute
	aliases          map[string][]string // DNs of those that are groups
	own              map[string][]string // aliases of DNs that are attributes
}

func newEdited(t *testing.T, s ldapdir.Searcher, to tree) *edited {
	d, err := ldapdir.New(s, ldapdir.Options{DomainSearch: ldapdir.DomainSearch{Filter: "(objectClass=domainRelatedObject)", TTL: time.Nanosecond}})
	require.NoError(t, err)
	return &edited{Directory: d, tree: to, mail: s.Config().Attributes.Mail, aliases: map[string][]string{}, own: map[string][]string{}}
}

func key(name string) string {
	if !strings.Contains(name, "@") {
		name += "@example.test"
	}
	return mail.MustParseAddress(name).Key()
}

func person(name string) string { return "uid=" + ldap.EscapeDN(key(name)) + "," + people }
func group(name string) string  { return "cn=" + ldap.EscapeDN(key(name)) + "," + groups }

func (e *edited) Account(ctx context.Context, login string) (directory.Account, error) {
	return e.Directory.Account(ctx, login)
}

func (e *edited) AddDomain(_ context.Context, domain string) error {
	domain = mail.DomainKey(domain)
	return e.tree.Add("ou="+domain+","+base, map[string][]string{
		"objectClass": {"organizationalUnit", "domainRelatedObject"}, "ou": {domain}, "associatedDomain": {domain},
	})
}

func (e *edited) AddAccount(_ context.Context, a directory.Account) error {
	attributes := map[string][]string{
		"objectClass": {"inetOrgPerson", "inetLocalMailRecipient", "extensibleObject"},
		"uid":         {key(a.Name)}, "cn": {a.Name}, "sn": {a.Name}, e.mail: {a.Name},
	}
	if a.Password != "" {
		attributes["userPassword"] = []string{a.Password}
	}
	return e.tree.Add(person(a.Name), attributes)
}

func (e *edited) SetDisabled(_ context.Context, name string, to directory.Switch) error {
	if to == directory.On {
		return e.tree.Set(person(name), "nsAccountLock", "TRUE")
	}
	return e.tree.Set(person(name), "nsAccountLock")
}

func (e *edited) RemoveAccount(_ context.Context, name string) error {
	delete(e.own, person(name))
	return e.tree.Delete(person(name))
}

func (e *edited) AddAlias(ctx context.Context, alias mail.Address, to string) error {
	name, dn := alias.Key(), person(to)
	local, err := e.Local(ctx, mail.MustParseAddress(key(to)).Domain())
	switch {
	case err != nil:
		return err
	case !local:
		dn = "cn=" + to + "," + people
		err = e.tree.Add(dn, map[string][]string{"objectClass": {"inetOrgPerson", "extensibleObject"}, "cn": {to}, "sn": {to}, e.mail: {to}})
	case e.isAlias(key(to)):
		dn, err = group(to), e.makeGroup(key(to))
	case !e.isAlias(name):
		e.own[dn] = append(e.own[dn], name)
		return e.tree.Set(dn, "mailLocalAddress", e.own[dn]...)
	}
	if err != nil {
		return err
	}
	if e.isAlias(name) {
		if err := e.makeGroup(name); err != nil {
			return err
		}
		e.aliases[name] = append(e.aliases[name], dn)
		return e.tree.Set(group(name), "member", e.aliases[name]...)
	}
	return e.addGroup(name, dn)
}

func (e *edited) isAlias(name string) bool {
	_, ok := e.holder(name)
	return ok || e.aliases[name] != nil
}

// holder returns the account that has an alias as an attribute.
func (e *edited) holder(name string) (dn string, ok bool) {
	for dn, own := range e.own {
		if slices.Contains(own, name) {
			return dn, true
		}
	}
	return "", false
}

// makeGroup turns an alias that is an attribute into a group.
func (e *edited) makeGroup(name string) error {
	dn, ok := e.holder(name)
	if !ok {
		return nil
	}
	e.own[dn] = slices.DeleteFunc(e.own[dn], func(s string) bool { return s == name })
	if err := e.tree.Set(dn, "mailLocalAddress", e.own[dn]...); err != nil {
		return err
	}
	return e.addGroup(name, dn)
}

func (e *edited) addGroup(name string, members ...string) error {
	e.aliases[name] = members
	return e.tree.Add(group(name), map[string][]string{
		"objectClass": {"groupOfNames", "extensibleObject"}, "cn": {name}, e.mail: {name}, "member": members,
	})
}
