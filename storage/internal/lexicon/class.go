package lexicon

import (
	"hash/crc32"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/internal/fold"
)

// class says what a character is to a token.
type class uint8

const (
	gap    class = iota // stands in no token
	inside              // stands in a token with its neighbours of this class
	single              // is a token of its own, as in scripts without spaces
)

// alone are characters that are tokens of their own: those of scripts that put
// no spaces between words, and pictures.
var alone = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tibetan, unicode.So,
}

func classOf(r rune) class {
	switch {
	case unicode.In(r, alone...):
		return single
	case unicode.In(r, unicode.L, unicode.N, unicode.M):
		return inside
	}
	return gap
}

// common are the characters that are classified beforehand.
const common = 1 << 16

type classTable [common]class

var classes = sync.OnceValue(func() *classTable {
	t := new(classTable)
	for r := range t {
		t[r] = classOf(rune(r))
	}
	return t
})

// next returns the class of the character that text begins with, which is not
// empty, and its length. An octet that is no UTF-8 is a gap.
func (t *classTable) next(text []byte) (class, int) {
	r, n := utf8.DecodeRune(text)
	switch {
	case r == utf8.RuneError && n == 1:
		return gap, 1
	case r < common:
		return t[r], n
	}
	return classOf(r), n
}

// layout is raised when anything changes that a segment depends on: what it
// looks like, how text is cut, or which text of a message is given to it, as
// when package message decodes differently.
const layout = 1

// Version names all that a segment depends on: its layout, and what folding and
// classes make of each character, which changes with Go's tables of Unicode.
var Version = sync.OnceValue(func() uint32 {
	h := crc32.New(castagnoli)
	h.Write([]byte{layout})
	h.Write([]byte(unicode.Version))
	var char, folded []byte
	for r := range rune(2 * common) {
		char = utf8.AppendRune(char[:0], r)
		folded, _ = fold.Append(folded[:0], char)
		h.Write(folded)
	}
	t := classes()
	for _, c := range t {
		h.Write([]byte{byte(c)})
	}
	return h.Sum32()
})
