package ldap

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/posthouse-mail/posthouse/mail"
)

// Attributes by which servers say who an account is and whether it is closed.
const (
	principal   = "userPrincipalName"    // of Active Directory
	control     = "userAccountControl"   // of Active Directory: bits
	expires     = "accountExpires"       // of Active Directory: 100 ns since 1601
	accountLock = "nsAccountLock"        // of 389 Directory Server, FreeIPA and Oracle
	lockedTime  = "pwdAccountLockedTime" // of servers with password policies
)

// AccountAttributes are the attributes, beside those that Config names, from
// which MainAddress and Disabled tell. A search names them.
func (c *Config) AccountAttributes() []string {
	if c.Type == ActiveDirectory {
		return []string{principal, control, expires}
	}
	return []string{accountLock, lockedTime}
}

// MainAddress returns the address by which the account of an entry is named in
// everything that looks it up here, in the normal form of mail.Address.Key:
// the first value of Attributes.Mail that is an address, or else the
// userPrincipalName of Active Directory, or else the Attributes.Login at
// Config.Domain. It is empty when the entry has none of them.
func (c *Config) MainAddress(e *Entry) string {
	candidates := e.All(c.Attributes.Mail)
	if c.Type == ActiveDirectory {
		candidates = append(candidates[:len(candidates):len(candidates)], e.Get(principal))
	}
	if login := e.Get(c.Attributes.Login); login != "" && c.Domain != "" {
		candidates = append(candidates[:len(candidates):len(candidates)], login+"@"+c.Domain)
	}
	for _, s := range candidates {
		if key, ok := addressKey(s); ok {
			return key
		}
	}
	return ""
}

// addressKey is the normal form of an address; one that has no domain, or
// whose normal form would not read as itself, names no account.
func addressKey(s string) (string, bool) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Domain() == "" {
		return "", false
	}
	key := a.Key()
	again, err := mail.ParseAddress(key)
	return key, err == nil && again.Key() == key
}

// AccountName returns by which name the account of an entry is known that was
// found by a login: its MainAddress, or without one its Attributes.Login, or
// without that the login itself, in small letters and Unicode form C.
func (c *Config) AccountName(e *Entry, login string) string {
	if name := c.MainAddress(e); name != "" {
		return name
	}
	if own := e.Get(c.Attributes.Login); own != "" {
		login = own
	}
	if key, ok := addressKey(login); ok {
		return key
	}
	if c.Domain != "" {
		if key, ok := addressKey(login + "@" + c.Domain); ok {
			return key
		}
	}
	return fold(login)
}

// Names returns the names under which a user is looked up, one after the
// other: the form that all spellings of his name have, an address's
// mail.Address.Key, and that without a sub-address "+tag" (RFC 5233) when it
// has one. There are none for what is nobody's name: empty, not UTF-8, or with
// control characters.
func Names(user string) []string {
	if user == "" || !utf8.ValidString(user) || strings.IndexFunc(user, unicode.IsControl) >= 0 {
		return nil
	}
	name := fold(user)
	if a, err := mail.ParseAddress(user); err == nil {
		name = a.Key()
	}
	local, domain := name, ""
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		local, domain = name[:at], name[at:]
	}
	if plus := strings.IndexByte(local, '+'); plus > 0 {
		return []string{name, local[:plus] + domain}
	}
	return []string{name}
}

func fold(s string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(s))) }

// Disabled reports whether the server's own marks, as far as they were
// searched for, say that nobody may log in to the account of an entry: it is
// switched off, locked by an administrator, or expired. Locks that end by
// themselves are known to the server alone, which tells of them in a bind.
func (c *Config) Disabled(e *Entry) bool {
	const (
		accountDisable = 2        // [MS-ADTS] §2.2.16
		permanently    = "000001" // draft-behera-ldap-password-policy §5.3.3: 000001010000Z
	)
	bits, _ := strconv.ParseInt(e.Get(control), 10, 64)
	return bits&accountDisable != 0 || expired(e.Get(expires), time.Now()) ||
		strings.EqualFold(e.Get(accountLock), "true") || strings.HasPrefix(e.Get(lockedTime), permanently)
}

// expired reads [MS-ADA1] accountExpires: 0 and the highest number mean never.
func expired(ticks string, now time.Time) bool {
	n, err := strconv.ParseInt(ticks, 10, 64)
	if err != nil || n <= 0 {
		return false
	}
	const toUnix = 11_644_473_600 // seconds from 1601 to 1970
	return n/10_000_000-toUnix < now.Unix()
}
