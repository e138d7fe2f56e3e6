package ldap

import (
	"regexp"
	"slices"
	"strings"

	ldap "github.com/go-ldap/ldap/v3"
)

// maxNames bounds the names of one user.
const maxNames = 1000

// userAssertions finds the attributes that a Filter compares with a user.
var userAssertions = regexp.MustCompile(`\(?\s*([A-Za-z][A-Za-z0-9.-]*)[^=()]*=[^()]*%[eu]`)

// nameAttributes returns the attributes by which users are found, in small
// letters: those that Config names and those of the filter.
func (c *Connector) nameAttributes() []string {
	names := []string{c.c.Attributes.Mail, c.c.Attributes.Aliases, c.c.Attributes.Login}
	for _, found := range userAssertions.FindAllStringSubmatch(c.c.Filter, -1) {
		names = append(names, found[1])
	}
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// groupClasses are the object classes of groups, in small letters.
var groupClasses = map[string]bool{
	"groupofnames": true, "groupofuniquenames": true, "groupofmembers": true, "groupofurls": true,
	"posixgroup": true, "group": true,
}

// newRecord reads what is remembered of an entry. Attributes that are not in
// it have the values of the record before.
func (w *watch) newRecord(e *ldap.Entry, before record) record {
	r := record{dn: e.DN, group: before.group, values: make([][]string, len(w.names))}
	copy(r.values, before.values)
	for _, a := range e.Attributes {
		name := strings.ToLower(a.Name)
		if name == "objectclass" {
			r.group = slices.ContainsFunc(a.Values, func(v string) bool { return groupClasses[strings.ToLower(v)] })
		}
		if i := slices.Index(w.names, name); i >= 0 {
			r.values[i] = userNames(a.Values)
		}
	}
	return r
}

// userNames returns the values that can be names of a user, in normal form:
// addresses of Active Directory without "smtp:" before them, those of other
// systems not.
func userNames(values []string) []string {
	var names []string
	for _, v := range values {
		if kind, rest, ok := strings.Cut(v, ":"); ok {
			if !strings.EqualFold(kind, "smtp") {
				continue
			}
			v = rest
		}
		if v == "" || len(v) > maxUser || strings.ContainsAny(v, "\x00\x01") || len(names) == maxNames {
			continue
		}
		names = append(names, normalName(v))
	}
	return names
}

// normalName returns the form in which AccountName has a name.
func normalName(name string) string {
	if key, ok := addressKey(name); ok {
		return key
	}
	return fold(name)
}

// namesOf returns all names that a user may be looked up by: the values, those
// without a domain also with each domain that his other names have and with
// Config.Domain, and the local parts of addresses in Config.Domain.
func (w *watch) namesOf(r record) []string {
	names := slices.Concat(r.values...)
	domains := []string{}
	if w.c.c.Domain != "" {
		domains = append(domains, strings.ToLower(w.c.c.Domain))
	}
	for _, name := range names {
		if at := strings.LastIndexByte(name, '@'); at >= 0 && !slices.Contains(domains, name[at+1:]) {
			domains = append(domains, name[at+1:])
		}
	}
	for _, name := range names[:len(names):len(names)] {
		at := strings.LastIndexByte(name, '@')
		switch {
		case at < 0:
			for _, d := range domains {
				names = append(names, normalName(name+"@"+d))
			}
		case w.c.c.Domain != "" && strings.EqualFold(name[at+1:], w.c.c.Domain):
			names = append(names, name[:at])
		}
		if len(names) > 2*maxNames {
			break
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
