package smtp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeXtext undoes xtext (RFC 3461 §4). What it hides must be printable
// text: a line break in here would be one in a report later. ok is false for
// anything else. Octets of UTF-8 sequences may stand as they are (RFC 6533
// §3, "unitext"); the caller decides whether it wants them.
func decodeXtext(s string) (text string, ok bool) {
	if strings.IndexByte(s, '+') < 0 {
		return s, s != "" && plainXtext(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	text = string(b)
	return text, !strings.Contains(s, "=") && printableText(text)
}

func plainXtext(s string) bool { return strings.IndexByte(s, '=') < 0 && printableText(s) }

// printableText reports whether s is UTF-8 without controls.
func printableText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// hexDigit reads an upper case hexadecimal digit, as RFC 3461 §4 wants them;
// lower case is common and clear.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// decodeUnicode undoes the "\x{2014}" of utf-8-addr-xtext (RFC 6533 §3).
func decodeUnicode(s string) (text string, ok bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !found {
			break
		}
		digits, rest, closed := strings.Cut(after, "}")
		point, err := strconv.ParseUint(digits, 16, 32)
		if !closed || err != nil || len(digits) > 6 || !utf8.ValidRune(rune(point)) {
			return "", false
		}
		b.WriteRune(rune(point))
		s = rest
	}
	text = b.String()
	return text, printableText(text)
}
