package imap

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// keywords is what a snapshot knows of keywords. It shares its arrays with
// snapshots before and after it, which only ever append.
type keywords struct {
	sets  []keywordSet // by number; 0 is the empty set
	names []imap.Flag  // every keyword seen, as first written
	epoch int          // numbers of different epochs can't be compared

	octets int64 // that all this takes, about
}

type keywordSet struct {
	flags []imap.Flag // sorted, shared with the store
	text  string      // as FETCH FLAGS shows them, a space before each
}

func (k *keywords) set(n uint32) keywordSet {
	if n == 0 {
		return keywordSet{}
	}
	return k.sets[n]
}

// differ reports whether the names are others than those of old.
func (k *keywords) differ(old *keywords) bool {
	if k.epoch == old.epoch {
		return len(k.names) != len(old.names)
	}
	return !slices.Equal(k.names, old.names)
}

// adopt returns k with the sets that entries have by the numbers of old, and
// gives the entries its numbers. No board knows the epoch that this makes.
func (k keywords) adopt(old *keywords, entries []entry) keywords {
	k.epoch = min(old.epoch, 0) - 1
	k.sets = slices.Clone(k.sets)
	if len(k.sets) == 0 {
		k.sets = make([]keywordSet, 1)
	}
	numbers := make(map[uint32]uint32)
	for i := range entries {
		e := &entries[i]
		was := e.keywordSet()
		if was == 0 {
			continue
		}
		if numbers[was] == 0 {
			numbers[was] = uint32(len(k.sets))
			k.sets = append(k.sets, old.set(was))
		}
		e.flags = numbers[was]<<8 | e.flags&0xff
	}
	return k
}

// keywordTable gives each set of keywords that a mailbox has had a number, and
// remembers which keywords there are. It is the board's; snapshots have what
// it held when they were made.
type keywordTable struct {
	keywords
	index map[string]uint32
	known map[string]struct{}

	last       []imap.Flag // the set that was asked for last, and its number
	lastNumber uint32
}

// Bounds of a table of keywords.
const (
	maxKeywords = 500  // in the FLAGS response of a mailbox
	spareSets   = 1024 // sets that no message has any more
)

// pack returns flags in an entry's form.
func (t *keywordTable) pack(f storage.Flags) uint32 {
	return t.number(f.Keywords)<<8 | uint32(f.System)
}

// number returns the number of a set.
func (t *keywordTable) number(flags []imap.Flag) uint32 {
	switch {
	case len(flags) == 0:
		return 0
	case len(flags) == len(t.last) && &flags[0] == &t.last[0]: // neighbours often share them
		return t.lastNumber
	}
	n := t.lookUp(flags)
	t.last, t.lastNumber = flags, n
	return n
}

func (t *keywordTable) lookUp(flags []imap.Flag) uint32 {
	var text strings.Builder
	for _, f := range flags {
		if isAtom(string(f)) { // what else a store may hold can't be shown
			text.WriteByte(' ')
			text.WriteString(string(f))
		}
	}
	if n, ok := t.index[text.String()]; ok {
		return n
	}
	if t.index == nil {
		t.index, t.known = make(map[string]uint32), make(map[string]struct{})
		t.sets = append(t.sets, keywordSet{})
	}
	for _, f := range flags {
		t.meet(f)
	}
	n := uint32(len(t.sets))
	t.sets = append(t.sets, keywordSet{flags: flags, text: text.String()})
	t.index[text.String()] = n
	t.octets += 160 + int64(text.Len()) + 16*int64(len(flags))
	return n
}

func (t *keywordTable) meet(f imap.Flag) {
	key := strings.ToLower(string(f))
	if _, ok := t.known[key]; ok || len(t.names) >= maxKeywords || !isAtom(string(f)) {
		return
	}
	t.known[key] = struct{}{}
	t.names = append(t.names, f)
	t.octets += 160 + int64(len(f))
}

// forget returns s with a new table of the sets that its messages have. What
// older snapshots have of the old one stays as it is.
func (t *keywordTable) forget(s *snapshot) *snapshot {
	old := t.keywords
	*t = keywordTable{
		keywords: keywords{names: old.names, epoch: old.epoch + 1, sets: make([]keywordSet, 1)},
		index:    make(map[string]uint32), known: t.known,
	}
	var b builder
	for c := (cursor{refs: s.refs}); c.more(); c.next() {
		e := *c.entry()
		e.flags = t.number(old.set(e.keywordSet()).flags)<<8 | e.flags&0xff
		b.add(e)
	}
	b.seal()
	n := *s
	n.refs, n.keywords = b.refs, t.keywords
	return &n
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
