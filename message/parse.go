package message

import (
	"bytes"
	"strings"
)

// maxDelimiter bounds a line that can be a delimiter, in octets. RFC 2046
// §5.1.1 allows a boundary of 70.
const maxDelimiter = 4096

// Parse makes the part index of a message. It returns an error only when
// reading b fails, never because of what b holds. It reads b once, from its
// start to its end, in pieces.
func Parse(b Body, l Limits) (*Part, error) { return parse(b, l, lineWindow) }

func parse(b Body, l Limits, window int) (*Part, error) {
	l = l.withDefaults()
	p := &parser{
		limits:    l,
		lines:     newLines(b, window),
		used:      1,
		octets:    16 * l.Header,
		addresses: 4 * l.Address,
	}
	p.open = p.first[:0]
	p.head.value = make([]byte, 0, 256)
	root := p.begin(0, newMessage())
	for p.lines.next() {
		switch {
		case p.lines.first && p.delimiter():
		case p.inHeader:
			p.headerLine()
		}
	}
	if p.lines.err != nil {
		return nil, p.lines.err
	}
	p.close(0, ending{at: p.lines.size, lines: p.lines.count})
	return root, nil
}

func (l Limits) withDefaults() Limits {
	l.Depth = bounded(l.Depth, 100, 1000)
	l.Parts = bounded(l.Parts, 10_000, 1<<30)
	l.Params = bounded(l.Params, 100, 1000)
	l.Header = bounded(l.Header, 1<<20, 1<<26)
	l.Address = bounded(l.Address, 10_000, 1<<28)
	return l
}

func bounded(v, usual, most int) int {
	if v <= 0 {
		return usual
	}
	return min(v, most)
}

// parser walks over the lines of a message once and keeps the parts that are
// open: the leaf or header that the current line belongs to, and what
// encloses it.
type parser struct {
	limits    Limits
	lines     lines
	used      int // parts that were made, or promised to an open container
	octets    int // of header blocks that may still be looked at
	addresses int // that may still be kept
	open      []frame
	first     [4]frame // the memory of open, as a rule

	inHeader bool // the last open part is in its header
	head     header
	address  addressParser
}

// frame is an open part. All but the last one are containers.
type frame struct {
	part     *Part
	boundary string // of a multipart whose closing delimiter has not come
	line     int64  // lines before its content
}

// ending is where content ends before a delimiter or the end of the message.
type ending struct {
	at    int64 // the line break before the delimiter is not content
	lines int64 // lines begun before it
	empty bool  // the last of them holds nothing but the line break
}

func newMessage() *Part {
	m := &struct {
		Part
		Envelope
	}{}
	m.Part.Envelope = &m.Envelope
	return &m.Part
}

// begin opens a part whose header begins at off.
func (p *parser) begin(off int64, part *Part) *Part {
	part.Offset = off
	if n := len(p.open); n > 0 {
		parent := p.open[n-1].part
		parent.Parts = append(parent.Parts, part)
	}
	p.open = append(p.open, frame{part: part})
	p.inHeader = true
	p.beginHeader()
	return part
}

// settle ends the header of the last open part, whose content begins at off,
// and opens what it holds.
func (p *parser) settle(off int64) {
	p.endHeader()
	p.inHeader = false
	top := &p.open[len(p.open)-1]
	part := top.part
	part.Body, top.line = off, p.lines.count
	p.setDefaults(part)
	multipart, message := part.Type == "multipart", part.holdsMessage()
	switch {
	case !multipart && !message:
	case message && isEncoded(part.Encoding), len(p.open) > p.limits.Depth, p.used >= p.limits.Parts:
		part.Type, part.Subtype = "application", "octet-stream"
	case multipart:
		p.used++ // promised, so that there is room for one part at least
		top.boundary = strings.TrimRight(param(part.Params, "boundary"), " \t")
	default:
		p.used++
		p.begin(off, newMessage())
	}
}

func (p *parser) setDefaults(part *Part) {
	if part.Encoding == "" {
		part.Encoding = "7bit"
	}
	if part.Type != "" {
		return
	}
	part.Type, part.Subtype = "text", "plain"
	if n := len(p.open); n > 1 && !p.head.typed() {
		if up := p.open[n-2].part; up.Type == "multipart" && up.Subtype == "digest" {
			part.Type, part.Subtype = "message", "rfc822" // RFC 2046 §5.1.5
		}
	}
}

func isEncoded(encoding string) bool {
	switch encoding {
	case "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue":
		return true
	}
	return false
}

// delimiter handles a line that is a delimiter of an open multipart, and
// reports whether it was one. The innermost multipart that knows it gets it.
func (p *parser) delimiter() bool {
	line := p.lines.data
	if len(line) < 3 || line[0] != '-' || line[1] != '-' || len(line) > maxDelimiter {
		return false
	}
	line = bytes.TrimRight(line[2:], " \t\r\n")
	for i := len(p.open) - 1; i >= 0; i-- {
		b := p.open[i].boundary
		more := len(line) - len(b)
		switch {
		case b == "" || more != 0 && more != len("--") || string(line[:len(b)]) != b:
		case more == 0:
			return p.nextPart(i)
		case string(line[len(b):]) == "--":
			p.close(i+1, p.ending())
			p.open[i].boundary = ""
			return true
		}
	}
	return false
}

// nextPart begins the next part of the multipart open at i, unless there are
// too many parts: then the line is content like any other.
func (p *parser) nextPart(i int) bool {
	if len(p.open[i].part.Parts) > 0 {
		if p.used >= p.limits.Parts {
			return false
		}
		p.used++
	}
	p.close(i+1, p.ending())
	p.begin(p.lines.end(), &Part{})
	return true
}

// ending is the end of content before the current line.
func (p *parser) ending() ending {
	l := &p.lines
	return ending{at: l.off - int64(l.prevEOL), lines: l.count - 1, empty: l.prevEmpty}
}

// close ends all open parts from the one at depth inwards.
func (p *parser) close(depth int, e ending) {
	if len(p.open) <= depth {
		return
	}
	for p.inHeader { // a header without an end; the inner message has one too
		top := p.open[len(p.open)-1].part
		p.settle(max(e.at, top.Offset))
	}
	for len(p.open) > depth {
		f := p.open[len(p.open)-1]
		p.open = p.open[:len(p.open)-1]
		f.end(e)
	}
}

func (f frame) end(e ending) {
	part := f.part
	part.End = max(e.at, part.Body)
	if n := len(part.Parts); n > 0 {
		part.End = max(part.End, part.Parts[n-1].End)
	} else if part.Type == "multipart" {
		part.Parts = []*Part{emptyPart(part.End)}
	}
	if part.End == part.Body {
		return
	}
	part.Lines = e.lines - f.line
	if e.empty && part.End == e.at {
		part.Lines--
	}
}

func emptyPart(off int64) *Part {
	return &Part{Offset: off, Body: off, End: off, Type: "text", Subtype: "plain", Encoding: "7bit"}
}
