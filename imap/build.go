package imap

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// builder puts the chunks of a snapshot together.
type builder struct {
	refs  []ref
	count int
	own   bool    // the last chunk was made here
	open  []entry // entries that are not in a chunk yet
}

// add adds an entry behind all others.
func (b *builder) add(e entry) {
	if len(b.open) == chunkSize {
		b.seal()
	}
	b.open = append(b.open, e)
}

// seal makes a chunk of the open entries, together with the one before if
// both are small.
func (b *builder) seal() {
	if len(b.open) == 0 {
		return
	}
	if n := len(b.refs); n > 0 && len(b.refs[n-1].entries)+len(b.open) <= chunkLow {
		b.open = slices.Insert(b.open, 0, b.pop()...)
	}
	b.push(newChunk(b.open), true)
	b.open = b.open[:0]
}

// share adds a chunk of another snapshot.
func (b *builder) share(c *chunk) {
	b.seal()
	if n := len(b.refs); n > 0 && b.own && len(b.refs[n-1].entries)+len(c.entries) <= chunkLow {
		b.open = append(append(b.open, b.pop()...), c.entries...)
		b.seal()
		return
	}
	b.push(c, false)
}

func (b *builder) push(c *chunk, own bool) {
	b.refs = append(b.refs, ref{c, c.entries[0].uid, uint32(b.count)})
	b.count += len(c.entries)
	b.own = own
}

func (b *builder) pop() []entry {
	n := len(b.refs) - 1
	entries := b.refs[n].entries
	b.refs = b.refs[:n]
	b.count -= len(entries)
	return entries
}

// edit returns s with puts in it, by ascending UID, each in the place of the
// entry with its UID if there is one, and without the messages of gone. Chunks
// that neither concerns are shared.
func (s *snapshot) edit(puts []entry, gone imap.UIDSet) *snapshot {
	gone = ascending(gone)
	b := builder{refs: make([]ref, 0, len(s.refs)+1+len(puts)/chunkSize)}
	for k, r := range s.refs {
		mine := puts // those before the next chunk
		if k+1 < len(s.refs) {
			mine = puts[:countBelow(puts, s.refs[k+1].first)]
		}
		puts = puts[len(mine):]
		for len(gone) > 0 && gone[0].Stop < r.first && (len(mine) == 0 || gone[0].Stop < mine[0].uid) {
			gone = gone[1:]
		}
		if len(mine) == 0 && (len(gone) == 0 || gone[0].Start > r.last()) {
			b.share(r.chunk)
			continue
		}
		b.merge(r.entries, mine, gone)
	}
	b.merge(nil, puts, gone) // all of them when there was no chunk
	b.seal()
	n := *s
	n.refs, n.count = b.refs, b.count
	return &n
}

// merge adds old entries and puts, which win, without those of gone.
func (b *builder) merge(old, puts []entry, gone imap.UIDSet) {
	for len(old)+len(puts) > 0 {
		var e entry
		switch {
		case len(old) == 0 || len(puts) > 0 && puts[0].uid < old[0].uid:
			e, puts = puts[0], puts[1:]
		case len(puts) > 0 && puts[0].uid == old[0].uid:
			e, puts, old = puts[0], puts[1:], old[1:]
		default:
			e, old = old[0], old[1:]
		}
		for len(gone) > 0 && gone[0].Stop < e.uid {
			gone = gone[1:]
		}
		if len(gone) == 0 || gone[0].Start > e.uid {
			b.add(e)
		}
	}
}

func countBelow(entries []entry, uid imap.UID) int {
	n, _ := slices.BinarySearchFunc(entries, uid, func(e entry, uid imap.UID) int { return cmp.Compare(e.uid, uid) })
	return n
}

// ascending returns the ranges of a set without '*' by ascending UID.
func ascending(set imap.UIDSet) imap.UIDSet {
	byStart := func(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) }
	if slices.IsSortedFunc(set, byStart) {
		return set
	}
	set = slices.Clone(set)
	slices.SortFunc(set, byStart)
	return set
}

// withGone returns s with the messages that old has and s has not, whose
// indexes in old are gone. It is for a client that can't be told of them yet.
func (s *snapshot) withGone(old *snapshot, gone []int) *snapshot {
	puts := make([]entry, len(gone))
	r := reader{snapshot: old}
	for k, i := range gone {
		puts[k] = *r.at(i)
	}
	words := s.keywords
	if words.epoch != old.keywords.epoch {
		words = words.adopt(&old.keywords, puts)
	}
	n := s.edit(puts, nil)
	n.keywords, n.expunged = words, old.expunged
	return n
}
