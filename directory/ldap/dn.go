package ldap

import (
	"slices"
	"strings"

	ldap "github.com/go-ldap/ldap/v3"
)

// NormalDN returns a distinguished name (RFC 4514) so that two spellings of
// one name are equal: in small letters, without spaces that mean nothing, each
// value escaped in one way. What is no name is only put in small letters.
//
// Values are compared without letter case, as nearly all attributes of names
// are.
func NormalDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(dn))
	}
	names := make([]string, len(parsed.RDNs))
	for i, rdn := range parsed.RDNs {
		parts := make([]string, len(rdn.Attributes))
		for j, a := range rdn.Attributes {
			value := strings.Join(strings.Fields(strings.ToLower(a.Value)), " ")
			parts[j] = strings.ToLower(a.Type) + "=" + EscapeDN(value)
		}
		slices.Sort(parts)
		names[i] = strings.Join(parts, "+")
	}
	return strings.Join(names, ",")
}
