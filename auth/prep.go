package auth

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// errPrep is the error of text that SASLprep prohibits.
var errPrep = errors.New("text that SASLprep prohibits")

// saslPrep prepares a name or a password for SCRAM, which asks for SASLprep
// (RFC 4013) where everything else here takes the newer form C of RFC 8265:
// both sides hash what comes out, so that the client's rule counts. Characters
// that are younger than Unicode 3.2 are taken as stored strings take those
// that they know.
func saslPrep(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errPrep
	}
	if isPrinting(text) {
		return text, nil
	}
	text = norm.NFKC.String(strings.Map(prepMap, text))
	if text == "" || strings.ContainsFunc(text, prohibited) || !oneDirection(text) {
		return "", errPrep
	}
	return text, nil
}

// isPrinting reports whether text is printing ASCII, which nothing changes.
func isPrinting(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return text != ""
}

// prepMap is the mapping of RFC 4013 §2.1: spaces become SPACE (RFC 3454
// C.1.2), what is commonly mapped to nothing (B.1) is left out.
func prepMap(r rune) rune {
	switch {
	case r == 0x200B: // stands in both tables
		return ' '
	case unicode.Is(unicode.Zs, r):
		return ' '
	case r == 0xAD, r == 0x34F, r == 0x1806, 0x180B <= r && r <= 0x180D, r == 0x200C, r == 0x200D, r == 0x2060, 0xFE00 <= r && r <= 0xFE0F, r == 0xFEFF:
		return -1
	}
	return r
}

// prohibited reports whether a character may not be left after the mapping
// (RFC 4013 §2.3).
func prohibited(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Noncharacter_Code_Point, r):
		return true
	case 0x2028 <= r && r <= 0x202E, 0x2060 <= r && r <= 0x206F, 0x1D173 <= r && r <= 0x1D17A: // C.2.2 and C.8
		return true
	case r == 0x340, r == 0x341, r == 0x200E, r == 0x200F, r == 0x6DD, r == 0x70F, r == 0x180E: // C.8 and C.2.2
		return true
	case 0xFFF9 <= r && r <= 0xFFFD, 0x2FF0 <= r && r <= 0x2FFB, 0xE0001 <= r && r <= 0xE007F: // C.6, C.7, C.9
		return true
	}
	return false
}

// oneDirection is the rule of RFC 3454 §6: text with characters written from
// right to left has none written from left to right, and begins and ends with
// one of them.
func oneDirection(text string) bool {
	right, left := false, false
	for _, r := range text {
		right = right || fromRight(r)
		left = left || direction(r) == bidi.L
	}
	if !right {
		return true
	}
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	return !left && fromRight(first) && fromRight(last)
}

func fromRight(r rune) bool { return direction(r) == bidi.R || direction(r) == bidi.AL }

func direction(r rune) bidi.Class {
	p, _ := bidi.LookupRune(r)
	return p.Class()
}
