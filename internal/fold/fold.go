// Package fold takes the letter case out of text: what a search compares, and
// what an index of words is made of.
package fold

import (
	"encoding/binary"
	"unicode/utf8"
)

// Append appends text in the form in which it is compared, and returns how much
// of it was used: all but the first octets of a character that is cut off.
// Octets that are no UTF-8 stay as they are. What a piece of text becomes does
// not depend on what stands before or behind it. Texts that i;unicode-casemap
// (RFC 5051) takes for equal, character by character in title case and
// decomposed, have the same form. The parts of a decomposed character are
// brought to small letters again, so that a ligature is found by its letters,
// which the RFC does not ask for.
func Append(dst, text []byte) (folded []byte, used int) {
	i, piece := 0, 16 // pieces grow while they are ASCII: what is copied in vain stays small
	for i < len(text) {
		n := len(dst)
		dst = append(dst, text[i:min(i+piece, len(text))]...)
		k := lowerASCII(dst[n:])
		if piece *= 2; k < len(dst)-n {
			piece = 16
		}
		dst, i = dst[:n+k], i+k
		for i < len(text) && text[i] >= utf8.RuneSelf {
			if !utf8.FullRune(text[i:]) && len(text)-i < utf8.UTFMax {
				return dst, i
			}
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, text[i])
			} else {
				dst = appendRune(dst, r)
			}
			i += size
		}
	}
	return dst, i
}

// lowerASCII turns b into small letters up to the first octet above 127, and
// returns where that is. It takes eight octets at a time: the carry into the
// high bit of each tells whether it is at least 'A', and above 'Z'.
func lowerASCII(b []byte) (n int) {
	const (
		each = 0x0101010101010101
		high = 0x80 * each
	)
	for ; n+8 <= len(b); n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		if w&high != 0 {
			break
		}
		capital := (w + (0x80-'A')*each) &^ (w + (0x7f-'Z')*each) & high
		binary.LittleEndian.PutUint64(b[n:], w|capital>>2)
	}
	for ; n < len(b) && b[n] < utf8.RuneSelf; n++ {
		if c := b[n]; 'A' <= c && c <= 'Z' {
			b[n] = c + 'a' - 'A'
		}
	}
	return n
}
