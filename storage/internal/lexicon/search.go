package lexicon

import (
	"bytes"
	"context"
	"encoding/binary"
)

// Search returns the UIDs of the segment among which are those of all messages
// that hold the text of q, which is not one that says nothing.
func (s *Segment) Search(ctx context.Context, q *Query) (*Set, error) {
	found := make([]*Set, len(q.terms))
	for i := range found {
		found[i] = NewSet(s.First, s.Last)
	}
	for g := range s.groups {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.searchGroup(g, q, found); err != nil {
			return nil, err
		}
	}
	for _, other := range found[1:] {
		found[0].meet(other)
	}
	return found[0], readList(s.always, false, s.span(), found[0].set)
}

// searchGroup adds the messages of the tokens of a group that fit a term.
func (s *Segment) searchGroup(at int, q *Query, found []*Set) (err error) {
	g := &s.groups[at]
	var after []byte // the first token of the next group
	if at+1 < len(s.groups) {
		after = s.groups[at+1].first
	}
	var tokens, lists []byte
	count := 0
	for i := range q.terms {
		t := &q.terms[i]
		if !t.within(g.first, after) {
			continue
		}
		if tokens == nil {
			if tokens, count, err = s.readTokens(g, &q.tokens); err != nil {
				return err
			}
		}
		hits := tokenHits{tokens: tokens, pattern: t.pattern, begins: t.begins}
		reader := listReader{end: s.span()}
		for n, ok := hits.next(); ok; n, ok = hits.next() {
			if lists == nil {
				if lists, err = s.readLists(g, &q.lists); err != nil {
					return err
				}
			}
			if reader.lists == nil {
				reader.open(lists, count)
			}
			if err := reader.read(n, found[i].set); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether tokens that fit may stand in a group, that begins with
// the token first and after which comes a group that begins with the token
// after, or none.
func (t *term) within(first, after []byte) bool {
	if !t.begins {
		return true
	}
	if after != nil && bytes.Compare(after, t.text) <= 0 {
		return false
	}
	return bytes.Compare(first, t.text) <= 0 || bytes.HasPrefix(first, t.text)
}

// tokenHits finds the tokens of a group that fit a term.
type tokenHits struct {
	tokens, pattern []byte
	begins          bool
	at              int // where to look next
	counted         int // up to where LFs are counted
	lines           int // how many
}

// next returns which token of the group is the next that fits.
func (h *tokenHits) next() (n int, ok bool) {
	i := bytes.Index(h.tokens[h.at:], h.pattern)
	if i < 0 {
		return 0, false
	}
	start := h.at + i // within the token
	if h.begins {
		start++
	}
	h.lines += bytes.Count(h.tokens[h.counted:start], []byte("\n"))
	h.counted = start
	h.at = start + bytes.IndexByte(h.tokens[start:], '\n')
	return h.lines - 1, true
}

// listReader reads lists of a group, in the order of its tokens.
type listReader struct {
	lists []byte
	end   uint64 // above all numbers
	lens  []byte // those not read yet
	at    int    // the token that they begin with
	next  int    // where its list begins
}

// open begins with the lists of a group of so many tokens.
func (r *listReader) open(lists []byte, tokens int) {
	r.lists, r.lens = lists, lists
	for at := range lists {
		if tokens == 0 {
			r.next = at
			return
		}
		if lists[at] < 0x80 {
			tokens--
		}
	}
	r.next = len(lists)
}

// read calls f with the messages of a token.
func (r *listReader) read(token int, f func(n uint32)) error {
	for {
		n, k := binary.Uvarint(r.lens)
		size := n >> 1
		if k <= 0 || size > uint64(len(r.lists)-r.next) {
			return ErrDamaged
		}
		list := r.lists[r.next : r.next+int(size)]
		r.lens, r.next, r.at = r.lens[k:], r.next+int(size), r.at+1
		if r.at > token {
			return readList(list, n&1 != 0, r.end, f)
		}
	}
}
