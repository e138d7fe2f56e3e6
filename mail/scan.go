package mail

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

func badAddress(why string) error { return fmt.Errorf("%w: %s", ErrBadAddress, why) }

// scanLocal returns the length of the local part that s begins with: a
// Dot-string or a Quoted-string (RFC 5321 §4.1.2).
func scanLocal(s string) (int, error) {
	if s != "" && s[0] == '"' {
		return scanQuoted(s)
	}
	n := 0
	for n < len(s) && isAtext(s[n]) || n < len(s) && s[n] == '.' {
		n++
	}
	local := s[:n]
	if local == "" || local[0] == '.' || local[n-1] == '.' || strings.Contains(local, "..") {
		return 0, badAddress("the local part is not a dot-string")
	}
	return n, nil
}

func scanQuoted(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] == 0x7f {
				return 0, badAddress("bad quoted pair")
			}
		case c < ' ' || c == 0x7f:
			return 0, badAddress("control character in quoted local part")
		}
	}
	return 0, badAddress("quoted local part without an end")
}

// unquote takes the quotes and quoting backslashes off a local part.
func unquote(local string) string {
	if local == "" || local[0] != '"' {
		return local
	}
	var b strings.Builder
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

// checkDomain accepts a host name of letters, digits and hyphens, one with
// UTF-8 labels that IDNA knows, and an address literal (RFC 5321 §4.1.3).
func checkDomain(d string) error {
	switch {
	case d == "":
		return badAddress("no domain")
	case d[0] == '[':
		return checkLiteral(d)
	case !isASCII(d):
		if _, err := idna.Lookup.ToASCII(d); err != nil {
			return badAddress("the domain is not valid under IDNA")
		}
		return nil
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(d, "."), ".") {
		if !isLabel(label) {
			return badAddress("the domain is not a host name")
		}
	}
	return nil
}

func checkLiteral(d string) error {
	inner, ok := strings.CutSuffix(d[1:], "]")
	if !ok {
		return badAddress("address literal without an end")
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		if ip, err := netip.ParseAddr(inner[5:]); err == nil && ip.Is6() && ip.Zone() == "" {
			return nil
		}
		return badAddress("bad IPv6 literal")
	}
	if ip, err := netip.ParseAddr(inner); err == nil && ip.Is4() {
		return nil
	}
	return badAddress("bad address literal")
}

// isLabel allows the underscore as well: hosts with one exist and mail for
// them flows everywhere else.
func isLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		c := l[i]
		if !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isAtext reports an RFC 5321 atext octet; octets of UTF-8 sequences count,
// as RFC 6531 §3.3 extends it.
func isAtext(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
