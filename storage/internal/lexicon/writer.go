package lexicon

import (
	"bufio"
	"encoding/binary"
	"io"
)

// A segment is groups of tokens, a tail and a trailer. Numbers of fixed size
// are little endian.
//
//	group    tokens, in the order of their octets, see appendToken
//	         lists: for each token the length of its list times two, plus one
//	         when it is bits; then the lists
//	docs     for each message: how many UIDs lie between it and the one before
//	         it, as uvarint, and its stamp in four octets
//	tail     the list of the messages that every search finds, as gaps, with
//	         its length before it as uvarint; then for each group the lengths of
//	         its tokens, plain and as they are written, and lists as uvarints, a
//	         checksum of each, the length of its first token in an octet, and
//	         that token
//	trailer  64 octets, see trailer
//
// Groups let a search read the tokens of all, which are few octets, and the
// lists of those alone where it finds something.
const (
	groupTokens = 64 << 10 // octets of tokens as they are, and not as they are written
	groupLists  = 256 << 10
)

const (
	magic       = "phwords\n"
	trailerSize = 64
)

// group is where the tokens and lists of a group are.
type group struct {
	offset        int64
	plain         int // octets of tokens as plainTokens makes them
	tokens, lists int // octets, as they are written
	tokenSum      uint32
	listSum       uint32
	first         []byte // token
}

// trailer is the end of a segment.
type trailer struct {
	version     uint32
	first, last uint32 // UIDs
	docs        uint32 // how many
	docsLen     uint32 // octets; what stands before them are the groups
	docsSum     uint32
	tailLen     uint32
	tailSum     uint32
}

func (t *trailer) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	for _, v := range [...]uint32{t.version, t.first, t.last, t.docs, t.docsLen, t.docsSum, t.tailLen, t.tailSum} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(b, make([]byte, start+trailerSize-4-len(b))...)
	return binary.LittleEndian.AppendUint32(b, sum(b[start:]))
}

func parseTrailer(b []byte) (t trailer, err error) {
	if len(b) != trailerSize || string(b[:len(magic)]) != magic || binary.LittleEndian.Uint32(b[trailerSize-4:]) != sum(b[:trailerSize-4]) {
		return t, ErrDamaged
	}
	for i, v := range [...]*uint32{&t.version, &t.first, &t.last, &t.docs, &t.docsLen, &t.docsSum, &t.tailLen, &t.tailSum} {
		*v = binary.LittleEndian.Uint32(b[len(magic)+4*i:])
	}
	if t.version != Version() || t.first > t.last {
		return t, ErrDamaged
	}
	return t, nil
}

// writer writes a segment. Errors wait for finish.
type writer struct {
	out    *bufio.Writer
	tokens []byte // of the group that is not written, so below
	plain  int    // octets of the tokens, each with an LF
	lens   []byte
	lists  []byte
	first  []byte // token
	last   []byte // token
	groups []byte // as in the tail
}

func newWriter(out io.Writer) *writer {
	return &writer{out: bufio.NewWriterSize(out, 64<<10)}
}

// add adds a token, which is above all before it. It reports whether that was
// the last one of a group.
func (w *writer) add(token []byte, list []uint32) (ended bool) {
	if w.plain == 0 {
		w.first, w.last = append(w.first[:0], token...), w.last[:0]
	}
	w.tokens = appendToken(w.tokens, w.last, token)
	w.last = append(w.last[:0], token...)
	had := len(w.lists)
	var bits bool
	w.lists, bits = appendList(w.lists, list)
	n := uint64(len(w.lists)-had) << 1
	if bits {
		n |= 1
	}
	w.lens = binary.AppendUvarint(w.lens, n)
	w.plain += len(token) + 1
	if w.plain < groupTokens && len(w.lists) < groupLists {
		return false
	}
	w.endGroup()
	return true
}

func (w *writer) endGroup() {
	if w.plain == 0 {
		return
	}
	w.lens = append(w.lens, w.lists...)
	b := binary.AppendUvarint(w.groups, uint64(w.plain+1))
	b = binary.AppendUvarint(b, uint64(len(w.tokens)))
	b = binary.AppendUvarint(b, uint64(len(w.lens)))
	b = binary.LittleEndian.AppendUint32(b, sum(w.tokens))
	b = binary.LittleEndian.AppendUint32(b, sum(w.lens))
	w.groups = append(append(b, byte(len(w.first))), w.first...)
	w.out.Write(w.tokens)
	w.out.Write(w.lens)
	w.tokens, w.plain, w.lens, w.lists = w.tokens[:0], 0, w.lens[:0], w.lists[:0]
}

// finish writes what stands behind the groups.
func (w *writer) finish(first, last uint32, docs []Doc, always []uint32) error {
	w.endGroup()
	t := trailer{version: Version(), first: first, last: last, docs: uint32(len(docs))}
	var b []byte
	next := first
	for _, d := range docs {
		b = binary.AppendUvarint(b, uint64(d.UID-next))
		b = binary.LittleEndian.AppendUint32(b, d.Stamp)
		next = d.UID + 1
	}
	t.docsLen, t.docsSum = uint32(len(b)), sum(b)
	w.out.Write(b)
	b = appendGaps(b[:0], always)
	tail := binary.AppendUvarint(nil, uint64(len(b)))
	tail = append(append(tail, b...), w.groups...)
	t.tailLen, t.tailSum = uint32(len(tail)), sum(tail)
	w.out.Write(tail)
	w.out.Write(t.append(nil))
	return w.out.Flush()
}
