package imap

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestFoldingMixedTextIsLinear(t *testing.T) {
	search := func(length int) time.Duration {
		n, began := newNeedle("nowhere"), time.Now()
		ok, err := n.inReader(strings.NewReader(strings.Repeat("a\u00fc", length)))
		require.NoError(t, err)
		require.False(t, ok)
		return time.Since(began)
	}
	require.Less(t, search(1<<19), 100*search(1<<15)+time.Second, "16 times the length")
}

func TestNeedleIsFoundAcrossPieces(t *testing.T) {
	hay := strings.Repeat("x", 16<<10-3) + "Grü\u00dfE \u65e5\u672c" + strings.Repeat("y", 40_000)
	for _, needle := range []string{"gRÜßE", "\u65e5\u672cY", "E \u65e5", "xg"} {
		n := newNeedle(needle)
		require.True(t, n.in(hay))
		for _, r := range []io.Reader{strings.NewReader(hay), iotest.OneByteReader(strings.NewReader(hay)), iotest.DataErrReader(strings.NewReader(hay))} {
			ok, err := n.inReader(r)
			require.NoError(t, err)
			require.True(t, ok, needle)
		}
	}
	ok, err := newNeedle("yx").inReader(strings.NewReader(hay))
	require.NoError(t, err)
	require.False(t, ok)
}

// FuzzNeedle compares a search in pieces with one in memory.
func FuzzNeedle(f *testing.F) {
	f.Add("ab\u00fcc", "B\u00dc", uint8(1))
	f.Add("\xff\xc3", "x", uint8(2))
	f.Fuzz(func(t *testing.T, hay, needle string, piece uint8) {
		n := newNeedle(needle)
		got, err := n.inReader(&pieces{[]byte(hay), int(piece) + 1})
		if err != nil || got != n.in(hay) {
			t.Fatalf("%q in %q: %v %v", needle, hay, got, err)
		}
	})
}

type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// casemap is i;unicode-casemap word for word (RFC 5051 §2), but for Hangul,
// which is decomposed by rule and not by a property.
func casemap(s string) (mapped string) {
	for _, r := range s {
		title := string(unicode.ToTitle(r))
		if parts := norm.NFKD.PropertiesString(title).Decomposition(); parts != nil {
			title = string(parts)
		}
		mapped += title
	}
	return mapped
}

// TestTextsThatTheComparatorTakesForEqualAreFound goes through all characters.
func TestTextsThatTheComparatorTakesForEqualAreFound(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if s := string(r); unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.S, unicode.P) {
			require.True(t, newNeedle(casemap(s)).in(s), "%U", r)
			require.True(t, newNeedle(s).in(casemap(s)), "%U", r)
		}
	}
}

func TestFoldedTextsAreEqualWhereLettersAre(t *testing.T) {
	for _, c := range [][2]string{
		{"É", "e\u0301"}, {"ÅNGSTRÖM", "a\u030angstro\u0308m"}, {"\u01c4", "\u01c6"}, {"\u01c5", "dz\u030c"}, {"ﬁn", "FIN"}, {"Ⅷ", "viii"},
		{"ＡＢ", "ab"}, {"ΣΊΣΥΦΟΣ", "σίσυφος"}, {"ЁЖ", "ёж"}, {"\u1e9e", "ß"}, {"\u212a", "k"}, {"ſ", "S"}, {"日本", "日本"}, {"한", "한"}, {"ガ", "カ\u3099"}, {"ı", "i"},
	} {
		require.True(t, newNeedle(c[0]).in(c[1]), "%q", c)
		require.True(t, newNeedle(c[1]).in(c[0]), "%q", c)
	}
	for _, c := range [][2]string{{"ss", "ß"}, {"ä", "ae"}, {"é", "e"}} {
		require.False(t, newNeedle(c[0]).in(c[1]), "%q", c)
	}
}
