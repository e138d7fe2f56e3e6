package mail

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

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
		case c == '"' && i == 1:
			return 0, badAddress("empty quoted local part")
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
	if d != "" && d[0] == '[' {
		_, err := parseLiteral(d)
		return err
	}
	if !isASCII(d) {
		ascii, err := idna.Lookup.ToASCII(d)
		if err != nil || !utf8.ValidString(d) {
			return badAddress("the domain is not valid under IDNA")
		}
		d = ascii
	}
	if !isHostName(strings.TrimSuffix(d, ".")) {
		return badAddress("the domain is not a host name")
	}
	return nil
}

// parseLiteral reads an address literal: [192.0.2.1] or [IPv6:2001:db8::1].
func parseLiteral(d string) (netip.Addr, error) {
	inner, begins := strings.CutPrefix(d, "[")
	inner, ends := strings.CutSuffix(inner, "]")
	if !begins || !ends {
		return netip.Addr{}, badAddress("address literal without an end")
	}
	if n := len("IPv6:"); len(inner) > n && strings.EqualFold(inner[:n], "IPv6:") {
		if ip, err := netip.ParseAddr(inner[n:]); err == nil && ip.Is6() && ip.Zone() == "" {
			return ip, nil
		}
		return netip.Addr{}, badAddress("bad IPv6 literal")
	}
	if ip, err := netip.ParseAddr(inner); err == nil && ip.Is4() {
		return ip, nil
	}
	return netip.Addr{}, badAddress("bad address literal")
}

// isHostName checks a name without a trailing dot against RFC 1035 §2.3.4.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
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
