package lexicon

import (
	"encoding/binary"
	"io"
)

// Segment is a segment that is open for reading.
type Segment struct {
	First, Last uint32 // the range of UIDs that it knows all messages of
	Size        int64  // octets
	Messages    int

	r      io.ReaderAt
	end    trailer
	groups []group
	always []byte // a list, as gaps
}

// Open reads where everything is in a segment of so many octets. ErrDamaged
// when it is none, or of another Version.
func Open(r io.ReaderAt, size int64) (*Segment, error) {
	if size < trailerSize {
		return nil, ErrDamaged
	}
	b, err := read(r, size-trailerSize, trailerSize, nil)
	if err != nil {
		return nil, err
	}
	t, err := parseTrailer(b)
	if err != nil {
		return nil, err
	}
	s := &Segment{First: t.first, Last: t.last, Size: size, Messages: int(t.docs), r: r, end: t}
	if s.tailAt() < int64(t.docsLen) {
		return nil, ErrDamaged
	}
	tail, err := readChecked(r, s.tailAt(), int(t.tailLen), t.tailSum, nil)
	if err != nil {
		return nil, err
	}
	return s, s.parseTail(tail)
}

// tailAt and docsAt are where the tail and the docs begin.
func (s *Segment) tailAt() int64 { return s.Size - trailerSize - int64(s.end.tailLen) }
func (s *Segment) docsAt() int64 { return s.tailAt() - int64(s.end.docsLen) }

func (s *Segment) parseTail(b []byte) error {
	p := cursor{b: b}
	s.always = p.octets(p.number())
	offset := int64(0)
	for len(p.b) > 0 && !p.bad {
		g := group{offset: offset, plain: p.number(), tokens: p.number(), lists: p.number()}
		g.tokenSum, g.listSum = p.fixed(), p.fixed()
		g.first = p.octets(p.octet())
		offset += int64(g.tokens) + int64(g.lists)
		s.groups = append(s.groups, g)
	}
	if p.bad || offset != s.docsAt() {
		return ErrDamaged
	}
	return nil
}

// Docs returns the messages of the segment.
func (s *Segment) Docs() ([]Doc, error) {
	b, err := readChecked(s.r, s.docsAt(), int(s.end.docsLen), s.end.docsSum, nil)
	if err != nil {
		return nil, err
	}
	p := cursor{b: b}
	docs := make([]Doc, 0, min(s.Messages, len(b)))
	next := s.First
	for len(p.b) > 0 && !p.bad {
		d := Doc{UID: next + uint32(p.number()), Stamp: p.fixed()}
		docs = append(docs, d)
		next = d.UID + 1
	}
	if p.bad || len(docs) != s.Messages {
		return nil, ErrDamaged
	}
	return docs, nil
}

// tokenSpace is memory for the tokens of a group, as they are and as they are
// written.
type tokenSpace struct{ plain, written []byte }

// readTokens returns the tokens of a group as plainTokens makes them.
func (s *Segment) readTokens(g *group, space *tokenSpace) (plain []byte, count int, err error) {
	space.written, err = readChecked(s.r, g.offset, g.tokens, g.tokenSum, space.written)
	if err != nil {
		return nil, 0, err
	}
	space.plain, count, err = plainTokens(space.plain, space.written, g.plain)
	return space.plain, count, err
}

func (s *Segment) readLists(g *group, space *[]byte) (lists []byte, err error) {
	*space, err = readChecked(s.r, g.offset+int64(g.tokens), g.lists, g.listSum, *space)
	return *space, err
}

// span is how many UIDs the range of the segment has.
func (s *Segment) span() uint64 { return uint64(s.Last) - uint64(s.First) + 1 }

// read reads n octets, into b when it has room.
func read(r io.ReaderAt, at int64, n int, b []byte) ([]byte, error) {
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	switch k, err := r.ReadAt(b, at); {
	case k == n:
		return b, nil
	case err == io.EOF:
		return nil, ErrDamaged
	default:
		return nil, err
	}
}

func readChecked(r io.ReaderAt, at int64, n int, want uint32, b []byte) ([]byte, error) {
	b, err := read(r, at, n, b)
	if err == nil && sum(b) != want {
		err = ErrDamaged
	}
	return b, err
}

// cursor reads numbers. Once bad is set all that it reads is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (p *cursor) octets(n int) []byte {
	if p.bad || n > len(p.b) {
		p.bad = true
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

// number reads a uvarint of at most 31 bits.
func (p *cursor) number() int {
	n, k := binary.Uvarint(p.b)
	if k <= 0 || n >= 1<<31 || p.bad {
		p.bad = true
		return 0
	}
	p.b = p.b[k:]
	return int(n)
}

func (p *cursor) fixed() uint32 {
	if b := p.octets(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *cursor) octet() int {
	if b := p.octets(1); b != nil {
		return int(b[0])
	}
	return 0
}
