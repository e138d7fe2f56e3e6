package lexicon

import (
	"io"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/fold"
)

// Bounds of a Builder.
const (
	maxPairs  = 1 << 19 // tokens of messages, each counted once a message
	maxTokens = 1 << 17
	maxOwn    = 1 << 16 // tokens of one message; one with more is found by every search
)

// MaxSpan bounds the range of UIDs of a segment: a search has a bit for each.
const MaxSpan = 1 << 22

// Builder gathers the tokens of messages for one segment.
type Builder struct {
	first  uint32
	split  splitter
	ids    map[string]uint32 // by token
	tokens []string
	seen   []uint32 // by token: the last message that has it, counted from 1
	pairs  []pair   // by message
	docs   []Doc
	always []uint32
	own    int // tokens of the last message
	folded []byte
	raw    []byte
}

// pair says that a message has a token. The message is its distance from the
// first UID.
type pair struct{ token, doc uint32 }

// NewBuilder begins a segment of UIDs from first on.
func NewBuilder(first uint32) *Builder {
	b := &Builder{first: first, ids: make(map[string]uint32), raw: make([]byte, 16<<10)}
	b.split = splitter{classes: classes(), emit: b.token}
	return b
}

// Takes reports whether the message of a UID can be begun. There is room for
// the first.
func (b *Builder) Takes(uid uint32) bool {
	return uid-b.first < MaxSpan && len(b.pairs) <= maxPairs-maxOwn && len(b.tokens) <= maxTokens-maxOwn
}

// Messages is how many were begun, First and Last the ends of their range.
func (b *Builder) Messages() int { return len(b.docs) }
func (b *Builder) First() uint32 { return b.first }
func (b *Builder) Last() uint32  { return b.docs[len(b.docs)-1].UID }

// Begin begins a message. Its UID is above those before it.
func (b *Builder) Begin(d Doc) {
	b.docs = append(b.docs, d)
	b.own = 0
}

// Always makes the message one that every search finds, whatever is known of
// it.
func (b *Builder) Always() {
	if n := b.Last() - b.first; len(b.always) == 0 || b.always[len(b.always)-1] != n {
		b.always = append(b.always, n)
	}
}

// String takes a text of the message.
func (b *Builder) String(s string) {
	b.folded, _ = fold.Append(b.folded[:0], []byte(s))
	b.split.write(b.folded)
	b.split.end()
}

// Read takes a text of the message from a reader. Without an error it has read
// to the end, or as far as the message's bound allows.
func (b *Builder) Read(r io.Reader) error {
	defer b.split.end()
	for pending := 0; b.own < maxOwn; { // octets of an unfinished character at the front of raw
		k, err := r.Read(b.raw[pending:])
		var used int
		b.folded, used = fold.Append(b.folded[:0], b.raw[:pending+k])
		b.split.write(b.folded)
		pending = copy(b.raw, b.raw[used:pending+k])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// token is called for every token of the message.
func (b *Builder) token(t []byte) {
	doc := uint32(len(b.docs))
	id, ok := b.ids[string(t)]
	switch {
	case ok && b.seen[id] == doc:
		return
	case b.own >= maxOwn:
		b.Always()
		return
	case !ok:
		id = uint32(len(b.tokens))
		s := string(t)
		b.ids[s] = id
		b.tokens = append(b.tokens, s)
		b.seen = append(b.seen, doc)
	}
	b.seen[id] = doc
	b.own++
	b.pairs = append(b.pairs, pair{id, b.docs[doc-1].UID - b.first})
}

// Write writes the segment, which has at least one message. pause is called
// every now and then; its error ends it.
func (b *Builder) Write(out io.Writer, pause func() error) error {
	order := make([]uint32, len(b.tokens))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return strings.Compare(b.tokens[x], b.tokens[y]) })
	lists := b.lists()
	w := newWriter(out)
	var token []byte
	for _, id := range order {
		token = append(token[:0], b.tokens[id]...)
		if w.add(token, lists(id)) {
			if err := pause(); err != nil {
				return err
			}
		}
	}
	return w.finish(b.first, b.Last(), b.docs, b.always)
}

// lists returns the list of each token.
func (b *Builder) lists() func(token uint32) []uint32 {
	ends := make([]uint32, len(b.tokens)+1)
	for _, p := range b.pairs {
		ends[p.token+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	docs, next := make([]uint32, len(b.pairs)), slices.Clone(ends)
	for _, p := range b.pairs {
		docs[next[p.token]] = p.doc
		next[p.token]++
	}
	return func(token uint32) []uint32 { return docs[ends[token]:ends[token+1]] }
}
