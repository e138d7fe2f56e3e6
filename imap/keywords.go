package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// keywordTable gives each set of keywords that a view has seen a number, and
// remembers which keywords there are. Number 0 is the empty set.
type keywordTable struct {
	sets  []keywordSet
	index map[string]uint32
	names []imap.Flag // every keyword seen, as first written
	known map[string]struct{}
}

type keywordSet struct {
	flags []imap.Flag // sorted, shared with the store
	text  string      // as FETCH FLAGS shows them, a space before each
}

// maxKeywords bounds the list in the FLAGS response of a mailbox.
const maxKeywords = 500

// number returns the number of a set; grew says that it holds a keyword that
// was not seen before.
func (t *keywordTable) number(flags []imap.Flag) (n uint32, grew bool) {
	if len(flags) == 0 {
		return 0, false
	}
	var text strings.Builder
	for _, f := range flags {
		if isAtom(string(f)) { // what else a store may hold can't be shown
			text.WriteByte(' ')
			text.WriteString(string(f))
		}
	}
	if n, ok := t.index[text.String()]; ok {
		return n, false
	}
	if t.index == nil {
		t.index, t.known = make(map[string]uint32), make(map[string]struct{})
		t.sets = append(t.sets, keywordSet{})
	}
	for _, f := range flags {
		grew = t.meet(f) || grew
	}
	n = uint32(len(t.sets))
	t.sets = append(t.sets, keywordSet{flags: flags, text: text.String()})
	t.index[text.String()] = n
	return n, grew
}

func (t *keywordTable) meet(f imap.Flag) bool {
	key := strings.ToLower(string(f))
	if _, ok := t.known[key]; ok || len(t.names) >= maxKeywords || !isAtom(string(f)) {
		return false
	}
	t.known[key] = struct{}{}
	t.names = append(t.names, f)
	return true
}

func (t *keywordTable) set(n uint32) keywordSet {
	if n == 0 {
		return keywordSet{}
	}
	return t.sets[n]
}

// forgetKeywords drops sets that no message has any more, once they are many.
func (v *view) forgetKeywords() {
	old := v.keywords
	if len(old.sets) <= v.len()+1024 {
		return
	}
	v.keywords = keywordTable{names: old.names, known: old.known, index: make(map[string]uint32), sets: make([]keywordSet, 1)}
	for i := range v.len() {
		e := v.at(i)
		n, _ := v.keywords.number(old.set(e.keywordSet()).flags)
		e.flags = n<<8 | e.flags&0xff
	}
}

func isAtom(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&atomChar == 0 {
			return false
		}
	}
	return s != ""
}

// recentBit stands for \Recent beside the system flags of a message.
const recentBit = 1 << 5

// systemTexts are the texts of all combinations of system flags, without the
// parentheses, \Recent being the bit above the others.
var systemTexts = makeSystemTexts()

func makeSystemTexts() (texts [64]string) {
	for bits := range texts {
		names := storage.Flags{System: storage.SystemFlags(bits)}.Names()
		words := make([]string, 0, len(names)+1)
		for _, n := range names {
			words = append(words, string(n))
		}
		if bits&recentBit != 0 {
			words = append(words, `\Recent`)
		}
		texts[bits] = strings.Join(words, " ")
	}
	return texts
}
