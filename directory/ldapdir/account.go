package ldapdir

import (
	"context"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mail"
)

// Account returns the account that somebody logs in to: the entry that the
// connector's own filter (ldap.Config.Filter) finds for the login, or else for
// the login without its sub-address. Its Password is the first hash that may
// be read, its Aliases are all further addresses of the entry.
func (d *Directory) Account(ctx context.Context, login string) (directory.Account, error) {
	if err := ctx.Err(); err != nil {
		return directory.Account{}, unavailable(err)
	}
	all, err := d.domains(ctx)
	if err != nil {
		return directory.Account{}, err
	}
	for _, name := range d.loginNames(login, &all) {
		e, err := d.login(ctx, name)
		switch {
		case err != nil:
			return directory.Account{}, err
		case e == nil:
			continue
		}
		a := d.account(e)
		if _, domain := cut(a.Name); !all.local(domain) {
			return directory.Account{}, directory.ErrUnknown
		}
		return a, nil
	}
	return directory.Account{}, directory.ErrUnknown
}

// loginNames returns the names under which a login is looked up. One without a
// domain is of the primary one, unless the connector has another.
func (d *Directory) loginNames(login string, all *domains) []string {
	var names []string
	for _, name := range ldap.Names(login) {
		switch {
		case strings.Contains(name, "@"):
			names = append(names, all.canonical(name))
		case d.config.Domain == "" && all.primary() != "":
			names = append(names, name+"@"+all.primary(), name)
		default:
			names = append(names, name)
		}
	}
	return names
}

func (d *Directory) login(ctx context.Context, name string) (*ldap.Entry, error) {
	attributes := d.attributes
	if password := d.config.Attributes.Password; password != "" {
		attributes = append(slices.Clone(attributes), password)
	}
	filter := ldap.Filter(d.config.Filter).ForUser(name, d.config.Domain)
	return d.one(ctx, ldap.Query{Scope: d.config.Scope, Filter: d.noGroup(filter), Attributes: attributes})
}

// account reads an entry.
func (d *Directory) account(e *ldap.Entry) directory.Account {
	a := directory.Account{Name: d.config.MainAddress(e), Disabled: d.config.Disabled(e)}
	if hosts := e.All(d.config.Attributes.Host); len(hosts) == 1 {
		a.Host = hosts[0]
	}
	for _, value := range e.All(d.config.Attributes.Password) {
		if isHash(value) {
			a.Password = value
			break
		}
	}
	for _, value := range slices.Concat(e.All(d.config.Attributes.Mail), e.All(d.config.Attributes.Aliases)) {
		if key, ok := aliasKey(value); ok && key != a.Name {
			a.Aliases = append(a.Aliases, key)
		}
	}
	slices.Sort(a.Aliases)
	a.Aliases = slices.Compact(a.Aliases)
	return a
}

// aliasKey reads an address as aliases hold it. Catch-alls, and addresses of
// other kinds than of mail, as "x500:" and "sip:" have them, are none.
func aliasKey(value string) (string, bool) {
	if len(value) > len(smtpPrefix) && strings.EqualFold(value[:len(smtpPrefix)], smtpPrefix) {
		value = value[len(smtpPrefix):]
	}
	a, err := mail.ParseAddress(value)
	if err != nil || a.Domain() == "" || strings.Contains(a.Local(), ":") {
		return "", false
	}
	return a.Key(), true
}

// isHash tells a hash from a password in clear text, by the name of its scheme.
func isHash(value string) bool {
	scheme, rest, ok := strings.Cut(value, "}")
	if !ok || !strings.HasPrefix(scheme, "{") {
		return strings.HasPrefix(value, "$")
	}
	return rest != "" && !slices.Contains([]string{"{CLEARTEXT", "{CLEAR", "{PLAIN"}, strings.ToUpper(scheme))
}
