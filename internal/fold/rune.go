package fold

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// appendRune appends a character above ASCII in the form of Append.
func appendRune(dst []byte, r rune) []byte {
	if r < alphabets {
		if one := singles()[r]; one != 0 {
			return utf8.AppendRune(dst, one)
		}
	}
	title, n := r, len(dst)
	if !caseless(r) {
		title = unicode.ToTitle(r)
	}
	dst = utf8.AppendRune(dst, title)
	parts := norm.NFKD.Properties(dst[n:]).Decomposition()
	if parts == nil {
		return utf8.AppendRune(dst[:n], smallest(title))
	}
	for dst = dst[:n]; len(parts) > 0; {
		part, size := utf8.DecodeRune(parts)
		dst = utf8.AppendRune(dst, smallest(part))
		parts = parts[size:]
	}
	return dst
}

// alphabets ends the characters of most scripts that have letter case.
const alphabets = 0x2e80

// singles has for each character below alphabets the one that stands for it,
// and 0 where there are several.
var singles = sync.OnceValue(func() *[alphabets]rune {
	var t [alphabets]rune
	for r := range rune(alphabets) {
		title := unicode.ToTitle(r)
		if norm.NFKD.PropertiesString(string(title)).Decomposition() == nil {
			t[r] = smallest(title)
		}
	}
	return &t
})

// smallest is the same for all letters that differ in case alone.
func smallest(r rune) rune {
	if caseless(r) {
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// caseless reports characters of the large scripts that have no letter case,
// to spare looking for it.
func caseless(r rune) bool { return alphabets <= r && r < 0xa640 || 0xac00 <= r && r < 0xd7a4 }
