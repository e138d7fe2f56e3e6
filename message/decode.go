package message

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DecodePart reads an index that AppendBinary wrote. Whatever data is, it
// takes memory in proportion to its length and returns a well-formed index or
// an error of kind ErrBadIndex. The index keeps no reference to data.
func DecodePart(data []byte) (*Part, error) { return new(Decoder).Decode(data) }

// Decode is DecodePart. What it returns is valid until Reset.
func (memory *Decoder) Decode(data []byte) (*Part, error) {
	if len(data) == 0 || data[0] != codecVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrBadIndex)
	}
	d := &decoder{memory: memory, data: data[1:], text: string(data[1:])}
	root := d.part(span{end: math.MaxInt64}, 1)
	switch {
	case d.bad:
		return nil, fmt.Errorf("%w: damaged at octet %d", ErrBadIndex, d.i)
	case d.i < len(d.data):
		return nil, fmt.Errorf("%w: octets after its end", ErrBadIndex)
	case root.Envelope == nil || root.Offset != 0:
		return nil, fmt.Errorf("%w: its root is no message", ErrBadIndex)
	}
	return root, nil
}

// decoder walks over an encoded index. Once bad is set everything it reads is
// zero.
type decoder struct {
	memory *Decoder
	data   []byte
	text   string // the same octets; the texts of the index are pieces of it
	i      int
	bad    bool
}

func (d *decoder) number() uint64 {
	n, k := binary.Uvarint(d.data[d.i:])
	if k <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.i += k
	return n
}

// distance reads a number of octets that fits into [0, most].
func (d *decoder) distance(most int64) int64 {
	n := d.number()
	if n > uint64(most) {
		d.bad = true
		return 0
	}
	return int64(n)
}

// count reads how many things follow, one at least, that take size octets each
// at least.
func (d *decoder) count(size int) int {
	n := int(d.distance(int64((len(d.data) - d.i) / size)))
	if n == 0 {
		d.bad = true
	}
	return n
}

func (d *decoder) string() string {
	n := d.number()
	if n&1 == 1 {
		if n>>1 >= uint64(len(commonTexts)) {
			d.bad = true
			return ""
		}
		return commonTexts[n>>1]
	}
	if n>>1 > uint64(len(d.data)-d.i) {
		d.bad = true
		return ""
	}
	s := d.text[d.i : d.i+int(n>>1)]
	d.i += len(s)
	return s
}

func (d *decoder) part(s span, depth int) *Part {
	p := &d.memory.parts.take(1)[0]
	has := d.number()
	if depth > maxCodecDepth || has >= hasParts<<1 {
		d.bad = true
	}
	p.Offset = s.start + d.distance(s.end-s.start)
	p.Body = p.Offset + d.distance(s.end-p.Offset)
	p.End = p.Body + d.distance(s.end-p.Body)
	p.Lines = d.distance(p.End - p.Body)
	p.Type, p.Subtype, p.Encoding = d.string(), d.string(), "7bit"
	if has&hasParams != 0 {
		p.Params = d.params()
	}
	for i, text := range [...]*string{&p.ID, &p.Description, &p.Encoding, &p.MD5, &p.Location, &p.Disposition} {
		if has&(hasID<<i) != 0 {
			*text = d.string()
		}
	}
	if has&hasDispositionParams != 0 {
		p.DispositionParams = d.params()
	}
	if has&hasLanguage != 0 {
		p.Language = d.memory.languages.take(d.count(1))
		for i := range p.Language {
			p.Language[i] = d.string()
		}
	}
	if has&hasEnvelope != 0 {
		p.Envelope = d.envelope()
	}
	if has&hasParts != 0 {
		d.parts(p, depth)
	}
	if !p.wellFormed() {
		d.bad = true
	}
	return p
}

// minPart is how many octets a part takes at least.
const minPart = 7

func (d *decoder) parts(p *Part, depth int) {
	n := d.count(minPart)
	p.Parts = d.memory.children.take(n)[:0]
	inner := span{p.Body, p.End}
	for range n {
		if d.bad {
			return
		}
		child := d.part(inner, depth+1)
		p.Parts = append(p.Parts, child)
		inner.start = child.End
	}
}

func (d *decoder) params() []Param {
	params := d.memory.params.take(d.count(2))
	for i := range params {
		params[i] = Param{Name: d.string(), Value: d.string()}
	}
	return params
}

func (d *decoder) envelope() *Envelope {
	has := d.number()
	if has >= hasBcc<<1 {
		d.bad = true
	}
	e := &d.memory.envelopes.take(1)[0]
	e.HasDate, e.HasSubject = has&hasDate != 0, has&hasSubject != 0
	e.HasInReplyTo, e.HasID = has&hasInReplyTo != 0, has&hasMessageID != 0
	for i, text := range e.texts() {
		if has&(hasDate<<i) != 0 {
			*text = d.string()
		}
	}
	for i, list := range e.lists() {
		if has&(hasFrom<<i) != 0 {
			*list = d.addresses()
		}
	}
	return e
}

func (d *decoder) addresses() []Address {
	list := d.memory.addresses.take(d.count(3))
	for i := range list {
		list[i] = Address{Name: d.string(), Mailbox: d.string(), Host: d.string()}
	}
	return list
}
