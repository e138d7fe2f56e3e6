package imap

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxCollated bounds a text that messages are sorted by, in octets: of texts
// that differ only behind it, the sequence number decides.
const maxCollated = 512

// collated brings text into a form whose octets compare as RFC 5256 §2 asks:
// that of i;unicode-casemap (RFC 5051 §2), the title case of each character
// taken apart into its parts.
func collated(text string) string {
	text = cutAt(text, maxCollated)
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return cutAt(norm.NFKD.String(strings.Map(unicode.ToTitle, text)), maxCollated)
		}
	}
	return strings.ToUpper(text)
}

// cutAt cuts text to at most n octets, between characters.
func cutAt(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
