package imap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// needle is a string that a search looks for, in any letter case.
type needle struct{ folded []byte }

func newNeedle(s string) *needle {
	folded, _ := appendFolded(nil, []byte(s))
	return &needle{folded}
}

// haystack is the scratch space of a search.
type haystack struct {
	raw    [16 << 10]byte
	folded []byte
}

var haystacks = sync.Pool{New: func() any { return new(haystack) }}

// in reports whether s holds the needle.
func (n *needle) in(s string) bool {
	h := haystacks.Get().(*haystack)
	defer haystacks.Put(h)
	h.folded, _ = appendFolded(h.folded[:0], []byte(s))
	return bytes.Contains(h.folded, n.folded)
}

// inReader reports whether what r yields holds the needle. It reads in
// pieces and keeps what may be the beginning of a match.
func (n *needle) inReader(r io.Reader) (bool, error) {
	if len(n.folded) == 0 {
		return true, nil
	}
	h := haystacks.Get().(*haystack)
	defer haystacks.Put(h)
	h.folded = h.folded[:0]
	pending := 0 // octets of an unfinished character at the front of raw
	for {
		k, err := r.Read(h.raw[pending:])
		filled := pending + k
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		var used int
		h.folded, used = appendFolded(h.folded, h.raw[:filled])
		pending = copy(h.raw[:], h.raw[used:filled])
		if bytes.Contains(h.folded, n.folded) {
			return true, nil
		}
		if err != nil {
			return false, nil
		}
		keep := min(len(h.folded), len(n.folded)-1)
		h.folded = h.folded[:copy(h.folded, h.folded[len(h.folded)-keep:])]
	}
}

// appendFolded appends text in the form in which it is compared, and returns
// how much of it was used: all but the first octets of a character that is cut
// off. Texts that i;unicode-casemap (RFC 5051) takes for equal, character by
// character in title case and decomposed, have the same form. The parts of a
// decomposed character are brought to small letters again, so that a ligature
// is found by its letters, which the RFC does not ask for.
func appendFolded(dst, text []byte) (folded []byte, used int) {
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
				dst = appendFoldedRune(dst, r)
			}
			i += size
		}
	}
	return dst, i
}

// appendFoldedRune appends a character above ASCII in the form of appendFolded.
func appendFoldedRune(dst []byte, r rune) []byte {
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
