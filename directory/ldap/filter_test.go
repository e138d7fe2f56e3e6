package ldap

import (
	"strings"
	"testing"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

func TestForUserPutsAddressLocalPartAndDomainIn(t *testing.T) {
	for _, c := range []struct{ filter, user, domain, want string }{
		{"(mail=%e)", "a@b", "", "(mail=a@b)"},
		{"mail=%e", "a", "", "(mail=a)"},
		{" (mail=%e) ", "a", "b", "(mail=a@b)"},
		{"(&(uid=%u)(o=%d))", "a@b@c", "x", "(&(uid=a@b)(o=c))"},
		{"(uid=%u%%)", "%e", "", "(uid=%e%)"},
		{"(mail=%e)", "*)(uid=\x00", "", `(mail=\2a\29\28uid=\00)`},
	} {
		require.Equal(t, c.want, Filter(c.filter).ForUser(c.user, c.domain))
	}
}

// value returns the value that a compiled equality or extensible match has.
func value(f *ber.Packet) string { return f.Children[len(f.Children)-1].Data.String() }

func FuzzForUser(f *testing.F) {
	for _, user := range []string{"*", "admin)(uid=*", `\28`, "\x00", "a,ou=x", "ü@ü", strings.Repeat("x", 1024), " a@b ", "\xff", "%e@%u", "a@"} {
		f.Add(user, "example.test")
	}
	f.Fuzz(func(t *testing.T, user, domain string) {
		local, of, has := user, domain, strings.Contains(user, "@")
		if has {
			local, of = user[:strings.LastIndexByte(user, '@')], user[strings.LastIndexByte(user, '@')+1:]
		}
		whole := user
		if !has && domain != "" {
			whole += "@" + domain
		}
		compiled, err := ldap.CompileFilter(Filter("(&(mail=%e)(uid=%u)(o:caseIgnoreMatch:=%d)(cn=x*%ux))").ForUser(user, domain))
		require.NoError(t, err)
		require.Len(t, compiled.Children, 4)
		require.Equal(t, whole, value(compiled.Children[0]))
		require.Equal(t, local, value(compiled.Children[1]))
		require.Equal(t, of, value(compiled.Children[2]))
		require.Equal(t, local+"x", value(compiled.Children[3].Children[1]))
		require.EqualValues(t, ldap.FilterEqualityMatch, compiled.Children[0].Tag)
	})
}

func FuzzFilter(f *testing.F) {
	for _, filter := range []string{"(mail=%e)", "mail=%e", "(&(uid=%u)(!(o=%d)))", "(%u=x)", "(a:%e:=x)", "(a=%)", "(cn=%%*%u*)", "(&)", "(a:dn:=%e)", "((a=%e))"} {
		f.Add(filter, "*)(x=y")
	}
	f.Fuzz(func(t *testing.T, filter, user string) {
		checked := Filter(filter)
		if checked.Check() != nil {
			return
		}
		// A filter that passed has one shape, whoever the user is.
		plain, err := ldap.CompileFilter(checked.ForUser("a@b", ""))
		require.NoError(t, err)
		hostile, err := ldap.CompileFilter(checked.ForUser(user, ""))
		require.NoError(t, err)
		require.Equal(t, shape(plain), shape(hostile))
	})
}

// shape is a filter without its values.
func shape(f *ber.Packet) string {
	switch f.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		s := string(rune('0' + f.Tag))
		for _, child := range f.Children {
			s += "(" + shape(child) + ")"
		}
		return s
	case ldap.FilterPresent:
		return f.Data.String() + "=*"
	case ldap.FilterExtensibleMatch:
		s := ":"
		for _, child := range f.Children {
			if s += string(rune('0' + child.Tag)); child.Tag != ldap.MatchingRuleAssertionMatchValue {
				s += child.Data.String()
			}
		}
		return s
	}
	return string(rune('0'+f.Tag)) + f.Children[0].Data.String()
}

func FuzzEscapeDN(f *testing.F) {
	for _, value := range []string{"a,ou=x", " a ", "#a", `a\`, "a+b=c", "\x00", "ü", `"`, "a;b<c>d"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) || value == "" {
			return
		}
		parsed, err := ldap.ParseDN("uid=" + EscapeDN(value) + "," + base)
		require.NoError(t, err)
		require.Len(t, parsed.RDNs, 3)
		require.Len(t, parsed.RDNs[0].Attributes, 1)
		require.Equal(t, value, parsed.RDNs[0].Attributes[0].Value)
	})
}
