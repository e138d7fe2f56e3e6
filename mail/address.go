package mail

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Length limits of RFC 5321 §4.5.3.1, in octets.
const (
	// MaxLocalLength is the longest local part that every server takes.
	// Variable reverse-paths and rewritten senders are longer at times, so an
	// Address may have a longer one as long as the whole fits MaxPathLength.
	MaxLocalLength  = 64
	MaxDomainLength = 255
	MaxPathLength   = 254 // of a whole address, without the angle brackets
)

// ErrBadAddress is the kind of every error that ParseAddress returns.
var ErrBadAddress = errors.New("malformed address")

// Address is a mailbox address as SMTP writes it (RFC 5321 §4.1.2 "Mailbox",
// RFC 6531 §3.3). It keeps the exact spelling it was parsed from, quoting
// included. The zero value is the null reverse-path "<>".
//
// Address is comparable, but == compares spellings; use Key to compare
// mailboxes.
type Address struct {
	local  string // as written, with its quotes if it had them
	domain string // as written; empty only for the null path and <postmaster>
}

// Postmaster is the recipient "<Postmaster>" without a domain, which every
// server must accept (RFC 5321 §4.5.1).
var Postmaster = Address{local: "postmaster"}

// ParseAddress reads "local@domain", without angle brackets. The local part
// may be a quoted string that is not empty, the domain may be an address
// literal. "postmaster" in any letter case is Postmaster. An empty string is
// not an address; the null path is the zero Address. Source routes are not
// read. Errors are of kind ErrBadAddress.
func ParseAddress(s string) (Address, error) {
	if len(s) == len(Postmaster.local) && strings.EqualFold(s, Postmaster.local) {
		return Postmaster, nil
	}
	if len(s) > MaxPathLength {
		return Address{}, badAddress("too long")
	}
	if !utf8.ValidString(s) {
		return Address{}, badAddress("not valid UTF-8")
	}
	n, err := scanLocal(s)
	if err != nil {
		return Address{}, err
	}
	if n == len(s) || s[n] != '@' {
		return Address{}, badAddress("no domain")
	}
	return Address{local: s[:n]}.WithDomain(s[n+1:])
}

// MustParseAddress is ParseAddress for addresses known when the program is
// written; it panics when s is malformed.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(fmt.Sprintf("mail.MustParseAddress(%q): %v", s, err))
	}
	return a
}

// IsNull reports whether a is the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// String returns the address as it was written, without angle brackets. The
// null path is the empty string.
func (a Address) String() string {
	if a.domain == "" {
		return a.local
	}
	return a.local + "@" + a.domain
}

// Local returns the meaning of the local part: without quotes and without
// backslashes that only quote.
func (a Address) Local() string { return unquote(a.local) }

// Domain returns the domain as it was written.
func (a Address) Domain() string { return a.domain }

// Key returns the normal form under which two spellings of one mailbox are
// equal: the unquoted local part in lower case and Unicode normal form C, and
// the DomainKey. It is for comparison and storage, not for the wire.
func (a Address) Key() string {
	local := fold(a.Local())
	if a.domain == "" {
		return local
	}
	return local + "@" + DomainKey(a.domain)
}

// DomainKey returns the normal form of a domain: lower case, A-labels (RFC
// 5891), no dots at its end, and an address literal as RFC 5952 writes it.
// What is no domain is only folded.
func DomainKey(domain string) string {
	if len(domain) <= MaxDomainLength && !isASCII(domain) {
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = ascii
		}
	}
	domain = strings.TrimRight(fold(domain), ".")
	if !strings.HasPrefix(domain, "[") {
		return domain
	}
	if ip, err := parseLiteral(domain); err == nil && ip.Is6() {
		return "[ipv6:" + ip.String() + "]"
	}
	return domain
}

// fold takes away differences of letter case and of Unicode composition. A
// small letter can have a composed form that its capital lacks, so the order
// matters.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

// NeedsUTF8 reports whether the address can only travel with SMTPUTF8
// (RFC 6531): its local part is not ASCII. A domain that is not ASCII can be
// written as A-labels instead, see ASCII.
func (a Address) NeedsUTF8() bool { return !isASCII(a.local) }

// ASCII returns the address with its domain as A-labels, for a next hop
// without SMTPUTF8. It fails when the local part is not ASCII, and when the
// A-labels make the address too long.
func (a Address) ASCII() (Address, error) {
	if a.NeedsUTF8() {
		return Address{}, badAddress("the local part needs SMTPUTF8")
	}
	if isASCII(a.domain) {
		return a, nil
	}
	domain, err := idna.Lookup.ToASCII(a.domain)
	if err != nil {
		return Address{}, badAddress("the domain has no ASCII form")
	}
	return a.WithDomain(domain)
}

// WithDomain returns the address with another domain; it is how a recipient
// without one gets the primary domain. An invalid domain is an error of kind
// ErrBadAddress, as is a null path, which has no mailbox, and an address that
// gets too long.
func (a Address) WithDomain(domain string) (Address, error) {
	if a.local == "" {
		return Address{}, badAddress("no local part")
	}
	if len(domain) > MaxDomainLength || len(a.local)+1+len(domain) > MaxPathLength {
		return Address{}, badAddress("too long")
	}
	if err := checkDomain(domain); err != nil {
		return Address{}, err
	}
	return Address{local: a.local, domain: domain}, nil
}

// MarshalText writes the address as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote; empty text is the null path.
func (a *Address) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Address{}
		return nil
	}
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
