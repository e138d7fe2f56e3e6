package auth

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/posthouse-mail/posthouse/mail"
)

// Namer is an optional power of an Authenticator: it tells which account a
// login means without asking for a password, so that attempts under all
// spellings of one account are counted together.
type Namer interface {
	// AccountName returns the Identity.User that a login with this name would
	// give. When nobody has the name, or it can't be looked up, it returns an
	// error, and callers use NormalName. It must never be shown to a client.
	AccountName(ctx context.Context, login string) (string, error)
}

// NormalName returns the one form of a login that can be known without a
// directory: an address without its sub-address "+tag" as mail.Address.Key
// writes it, any other text in lower case and Unicode form C.
func NormalName(login string) string {
	if a, err := mail.ParseAddress(login); err == nil {
		return withoutTag(a.Key())
	}
	return withoutTag(norm.NFC.String(strings.ToLower(norm.NFC.String(login))))
}

func withoutTag(name string) string {
	local, domain, at := cutLast(name, '@')
	if plus := strings.IndexByte(local, '+'); plus > 0 {
		local = local[:plus]
	}
	if !at {
		return local
	}
	return local + "@" + domain
}

// cutLast cuts s around the last sep; without one, before is s.
func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// accountName asks a's Namer, if there is one.
func accountName(ctx context.Context, a Authenticator, login string) string {
	if n, ok := As[Namer](a); ok {
		if name, err := n.AccountName(ctx, login); err == nil {
			return name
		}
	}
	return NormalName(login)
}

// cleanName reports whether a name is UTF-8 without control characters.
func cleanName(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
