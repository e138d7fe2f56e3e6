package fold

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestLowerASCIIOfEveryOctetAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			b := bytes.Repeat([]byte{'-'}, 17)
			b[at] = byte(c)
			n := lowerASCII(b)
			if c >= 0x80 {
				require.Equal(t, at, n)
				continue
			}
			require.Equal(t, 17, n)
			require.Equal(t, byte(unicode.ToLower(rune(c))), b[at])
			b[at] = '-'
			require.Equal(t, strings.Repeat("-", 17), string(b), "the others stay")
		}
	}
}

// FuzzAppend compares text that is folded in two pieces with text that is
// folded as one.
func FuzzAppend(f *testing.F) {
	f.Add("Gr\u00dc\u00dfe", 3)
	f.Add("\xe2\x82A\xff", 1)
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = min(max(at, 0), len(text))
		whole, used := Append(nil, []byte(text))
		first, n := Append(nil, []byte(text[:at]))
		both, m := Append(first, []byte(text[n:]))
		if string(both) != string(whole) || n+m != used {
			t.Fatalf("%q and %q make %q", text[:at], text[at:], both)
		}
	})
}

func TestCaselessCharactersHaveNoLetterCase(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		if caseless(r) {
			require.Equal(t, r, unicode.ToTitle(r), "%U", r)
			require.Equal(t, r, unicode.ToLower(unicode.ToUpper(r)), "%U", r)
		}
	}
}
