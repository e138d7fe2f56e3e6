package mapping

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/posthouse-mail/posthouse/mail"
)

// maxUser bounds the name of a user that is looked up, in octets.
const maxUser = 1024

// NormalName returns the one form under which a Mapper keeps a user's name and
// looks it up: of an address mail.Address.Key, of any other text its small
// letters in Unicode form C. A sub-address stays: it may have a route of its
// own. It returns false for what is nobody's name: what is empty, above 1,024
// octets, not UTF-8, or holds control characters.
func NormalName(user string) (string, bool) {
	if isNormal(user) {
		return user, user != "" && len(user) <= maxUser
	}
	if len(user) > maxUser || !cleanName(user) {
		return "", false
	}
	if a, err := mail.ParseAddress(user); err == nil {
		return a.Key(), true
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(user))), true
}

// isNormal knows, at a glance, most names that are in normal form already:
// those of '#' to '@' and '\\' to '~', where no capital, quote or bracket is.
func isNormal(user string) bool {
	for i := range len(user) {
		if c := user[i]; c-'#' > '@'-'#' && c-'\\' > '~'-'\\' {
			return false
		}
	}
	return !strings.HasSuffix(user, ".")
}

// withoutTag takes the sub-address off a name (RFC 5233); false when it has none.
func withoutTag(name string) (string, bool) {
	local := name
	at := strings.LastIndexByte(name, '@')
	if at >= 0 {
		local = name[:at]
	}
	plus := strings.IndexByte(local, '+')
	if plus < 1 {
		return "", false
	}
	return local[:plus] + name[len(local):], true
}

// domainOf returns what stands behind the last @ of a name; empty without one.
func domainOf(name string) string {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return ""
	}
	return name[at+1:]
}

// cleanName reports whether a name is UTF-8 without control characters.
func cleanName(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
