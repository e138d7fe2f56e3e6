package lexicon

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Merge writes one segment that knows the messages of several, which ascend,
// as far as they are in alive: a set for all UIDs from the first one's First to
// the last one's Last. Of a single segment it makes a smaller one. pause is
// called every now and then; its error ends the merge.
func Merge(out io.Writer, segments []*Segment, alive *Set, pause func() error) error {
	m := merger{first: segments[0].First, alive: alive, w: newWriter(out), walks: make([]*walk, len(segments))}
	for i, s := range segments {
		m.walks[i] = &walk{s: s}
		if err := m.walks[i].next(); err != nil {
			return err
		}
	}
	for {
		token := m.lowest()
		if token == nil {
			break
		}
		if err := m.take(token); err != nil {
			return err
		}
		if len(m.list) > 0 && m.w.add(m.token, m.list) {
			if err := pause(); err != nil {
				return err
			}
		}
	}
	return m.finish(segments)
}

type merger struct {
	first uint32
	alive *Set
	w     *writer
	walks []*walk
	token []byte
	list  []uint32 // of the token
}

// lowest returns the lowest token that the walks are at, nil when all ended.
func (m *merger) lowest() (token []byte) {
	for _, w := range m.walks {
		if w.token != nil && (token == nil || bytes.Compare(w.token, token) < 0) {
			token = w.token
		}
	}
	return token
}

// take gathers the list of a token and takes the walks further that are at it.
func (m *merger) take(token []byte) error {
	m.token, m.list = append(m.token[:0], token...), m.list[:0]
	for _, w := range m.walks {
		if !bytes.Equal(w.token, m.token) {
			continue
		}
		shift := w.s.First - m.first
		if err := readList(w.list, w.bits, w.s.span(), func(n uint32) { m.keep(n + shift) }); err != nil {
			return err
		}
		if err := w.next(); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) keep(n uint32) {
	if m.alive.has(n) {
		m.list = append(m.list, n)
	}
}

func (m *merger) finish(segments []*Segment) error {
	var docs []Doc
	m.list = m.list[:0]
	for _, s := range segments {
		had, err := s.Docs()
		if err != nil {
			return err
		}
		for _, d := range had {
			if m.alive.has(d.UID - m.first) {
				docs = append(docs, d)
			}
		}
		shift := s.First - m.first
		if err := readList(s.always, false, s.span(), func(n uint32) { m.keep(n + shift) }); err != nil {
			return err
		}
	}
	return m.w.finish(m.first, segments[len(segments)-1].Last, docs, m.list)
}

// walk goes through the tokens of a segment in their order.
type walk struct {
	s      *Segment
	group  int    // that is read next
	tokens []byte // of the group, those that come after token
	lens   []byte
	lists  []byte // those of tokens

	tokenSpace tokenSpace
	listSpace  []byte

	token []byte // nil: there are no more
	list  []byte
	bits  bool
}

// next goes to the next token.
func (w *walk) next() (err error) {
	if len(w.tokens) == 0 {
		if w.group == len(w.s.groups) {
			w.token = nil
			return nil
		}
		if err := w.open(&w.s.groups[w.group]); err != nil {
			return err
		}
		w.group++
	}
	end := bytes.IndexByte(w.tokens, '\n')
	n, k := binary.Uvarint(w.lens)
	size := n >> 1
	if end < 0 || k <= 0 || size > uint64(len(w.lists)) {
		return ErrDamaged
	}
	w.token, w.tokens = w.tokens[:end:end], w.tokens[end+1:]
	w.list, w.bits = w.lists[:size], n&1 != 0
	w.lens, w.lists = w.lens[k:], w.lists[size:]
	return nil
}

// open reads a group.
func (w *walk) open(g *group) error {
	plain, count, err := w.s.readTokens(g, &w.tokenSpace)
	if err != nil {
		return err
	}
	lists, err := w.s.readLists(g, &w.listSpace)
	if err != nil {
		return err
	}
	if count == 0 {
		return ErrDamaged
	}
	r := listReader{}
	r.open(lists, count)
	w.tokens, w.lens, w.lists = plain[1:], lists, lists[r.next:]
	return nil
}
