package ldap

import (
	"fmt"
	"strings"

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
	return strings.NewReplacer("%%", "%", "%e", Escape(user), "%u", Escape(local), "%d", Escape(of)).Replace(f.whole())
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
	if _, err := ldap.CompileFilter(f.ForUser("user@example.test", "")); err != nil {
		return fmt.Errorf("%w: filter %q: %w", ErrConfig, string(f), err)
	}
	return nil
}
