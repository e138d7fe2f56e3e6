package ldap

import (
	"errors"
	"fmt"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldap "github.com/go-ldap/ldap/v3"
)

// Escape makes any text safe to stand as a value in a filter (RFC 4515 §3).
func Escape(value string) string { return ldap.EscapeFilter(value) }

// EscapeDN makes any text safe to stand as a value in a name (RFC 4514 §2.4).
func EscapeDN(value string) string { return ldap.EscapeDN(value) }

// Filter is a search filter (RFC 4515) with places for a user: %e is his
// whole address, %u its local part, %d its domain, %% a percent sign. The
// parentheses around the whole may be left out, as in "mail=%e".
type Filter string

// ForUser puts a user in, escaped. A user without "@" has no domain: %e is the
// name alone, unless a domain is given.
func (f Filter) ForUser(user, domain string) string {
	local, of, at := user, "", strings.LastIndexByte(user, '@')
	if at >= 0 {
		local, of = user[:at], user[at+1:]
	} else if domain != "" {
		of = domain
		user += "@" + domain
	}
	var b strings.Builder
	for rest := f.whole(); ; {
		before, after, found := strings.Cut(rest, "%")
		b.WriteString(before)
		if !found || after == "" {
			return b.String()
		}
		switch after[0] {
		case 'e':
			b.WriteString(Escape(user))
		case 'u':
			b.WriteString(Escape(local))
		case 'd':
			b.WriteString(Escape(of))
		default:
			b.WriteByte(after[0])
		}
		rest = after[1:]
	}
}

func (f Filter) whole() string {
	if s := strings.TrimSpace(string(f)); !strings.HasPrefix(s, "(") {
		return "(" + s + ")"
	}
	return strings.TrimSpace(string(f))
}

// Check returns what is wrong with a filter: ErrConfig.
func (f Filter) Check() error {
	s := f.whole()
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i++; i == len(s) || !strings.ContainsRune("eud%", rune(s[i])) {
				return fmt.Errorf("%w: filter %q: after %% stands e, u, d or %%", ErrConfig, string(f))
			}
		}
	}
	// A user of nothing but octets that are escaped fits no name of an attribute.
	compiled, err := ldap.CompileFilter(f.ForUser("*@*", ""))
	if err != nil {
		var failed *ldap.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("%w: filter %q: %s", ErrConfig, string(f), strings.TrimPrefix(err.Error(), "ldap: "))
	}
	if name, ok := badName(compiled); ok {
		return fmt.Errorf("%w: filter %q: %q is no attribute", ErrConfig, string(f), name)
	}
	return nil
}

// names reports whether the filter depends on who the user is.
func (f Filter) names() bool { return f.ForUser("a@x", "") != f.ForUser("b@x", "") }

// badName returns a name in a compiled filter which is none of an attribute.
func badName(f *ber.Packet) (name string, bad bool) {
	switch f.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		for _, child := range f.Children {
			if name, bad := badName(child); bad {
				return name, true
			}
		}
		return "", false
	case ldap.FilterPresent:
		name = f.Data.String()
	case ldap.FilterExtensibleMatch:
		for _, child := range f.Children {
			if t := child.Tag; t < ldap.MatchingRuleAssertionMatchValue && !isAttribute(child.Data.String()) {
				return child.Data.String(), true
			}
		}
		return "", false
	default:
		name = f.Children[0].Data.String()
	}
	return name, !isAttribute(name)
}

// isAttribute reports whether s may be the name of an attribute, with options,
// or its number (RFC 4512 §2.5).
func isAttribute(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-;._", r)) {
			return false
		}
	}
	return s != ""
}
