package imap

import (
	"math"
	"strings"
)

// parser reads the arguments of one command (RFC 9051 §9). Its error is
// sticky: after the first mistake every method returns zero values and the
// rest of the command counts as read, so that a command is parsed straight
// through and judged once, by end.
type parser struct {
	buf  []byte    // the command without line ends, literals in place
	lits []literal // where literals stand in buf, in order
	pos  int
	utf8 bool // mailbox names come in UTF-8 (IMAP4rev2 or UTF8=ACCEPT is enabled)
	err  error

	uidOnly bool // sequence numbers are refused (RFC 9586)

	noCharset bool // a search must not say its charset (RFC 6855 §3)
	modSeqs   bool // a search key asked for mod-sequences (RFC 7162)
	fuzzy     bool // the search key that is being read stands behind FUZZY
}

// literal is an announced string: "{size}" at the end of a line.
type literal struct {
	mark   int // where the announcement begins in the command's buffer
	start  int // where the octets begin, once they are there
	size   int64
	sync   bool // the client waits for a continuation
	binary bool // "~{size}", RFC 3516
}

// Classes of octets.
const (
	atomChar   = 1 << iota // RFC 9051 ATOM-CHAR
	astringOK              // ATOM-CHAR or "]"
	listOK                 // ATOM-CHAR, "]", "%" or "*"
	tagOK                  // what a tag may hold; "]" is refused, tags stand in response codes
	sectionEnd             // ends the name of a FETCH item
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := byte('!'); c < 0x7f; c++ {
		if strings.IndexByte(`(){%*"\]`, c) < 0 {
			t[c] = atomChar | astringOK | listOK | tagOK
		}
	}
	t[']'] = astringOK | listOK
	t['%'], t['*'] = listOK, listOK
	t['+'] &^= tagOK
	for _, c := range []byte(" ()[]<>") {
		t[c] |= sectionEnd
	}
	return t
}

func (p *parser) fail(text string) { p.refuse(bad(text)) }

// refuse is fail with an answer of its own.
func (p *parser) refuse(err error) {
	if p.err == nil {
		p.err = err
	}
	p.pos = len(p.buf)
}

// end returns the parser's error, or one when something is left.
func (p *parser) end() error {
	if p.err == nil && p.pos < len(p.buf) {
		p.fail("Unexpected text after the command")
	}
	return p.err
}

func (p *parser) more() bool { return p.pos < len(p.buf) }

// peek returns the next octet, 0 at the end: a NUL in a command is refused.
func (p *parser) peek() byte {
	if p.pos < len(p.buf) {
		return p.buf[p.pos]
	}
	return 0
}

// accept takes c if it is next.
func (p *parser) accept(c byte) bool {
	if p.peek() != c || !p.more() {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(c byte) {
	if !p.accept(c) {
		p.fail("Missing " + string(rune(c)))
	}
}

func (p *parser) space() {
	if !p.accept(' ') {
		p.fail("Missing argument")
	}
}

// run takes the longest run of octets of a class, at least one.
func (p *parser) run(class uint8) string {
	start := p.pos
	for p.pos < len(p.buf) && classes[p.buf[p.pos]]&class != 0 {
		p.pos++
	}
	if p.pos == start {
		p.fail("Invalid argument")
	}
	return string(p.buf[start:p.pos])
}

func (p *parser) atom() string { return p.run(atomChar) }

// word is an atom in upper case: a keyword of the protocol.
func (p *parser) word() string { return strings.ToUpper(p.atom()) }

// atLiteral reports whether a literal stands next.
func (p *parser) atLiteral() bool {
	return len(p.lits) > 0 && p.lits[0].mark == p.pos && p.pos < len(p.buf)
}

// string is a quoted string or a literal.
func (p *parser) string() string {
	switch {
	case p.atLiteral():
		return p.literal()
	case p.accept('"'):
		return p.quoted()
	}
	p.fail("Missing string")
	return ""
}

// binaryNotAllowed is said to a literal8 where only a literal may stand.
const binaryNotAllowed = "Binary literal not allowed here"

func (p *parser) literal() string {
	if p.lits[0].binary {
		p.fail(binaryNotAllowed)
		return ""
	}
	text := p.octets()
	if strings.IndexByte(text, 0) >= 0 {
		p.fail("NUL in a string")
		return ""
	}
	return text
}

// octets reads a literal whatever is in it, as a literal8 (RFC 3516) may be.
func (p *parser) octets() string {
	l := p.lits[0]
	if l.start == 0 { // announced, but not read
		p.fail("Literal not allowed here")
		return ""
	}
	p.lits = p.lits[1:]
	p.pos = l.start + int(l.size)
	return string(p.buf[l.start:p.pos])
}

// quoted reads on after the opening quote. Octets above 127 are let through:
// passwords have them; names are judged where they are used.
func (p *parser) quoted() string {
	start, escaped := p.pos, 0
	for ; p.pos < len(p.buf); p.pos++ {
		switch c := p.buf[p.pos]; c {
		case '"':
			text := p.buf[start:p.pos]
			p.pos++
			if escaped == 0 {
				return string(text)
			}
			return unescape(text, escaped)
		case '\\':
			p.pos++
			escaped++
			if c := p.peek(); c != '"' && c != '\\' {
				p.fail("Invalid escape in a quoted string")
				return ""
			}
		case 0, '\r', '\n':
			p.fail("Invalid character in a quoted string")
			return ""
		}
	}
	p.fail("Missing closing quote")
	return ""
}

func unescape(text []byte, escaped int) string {
	b := make([]byte, 0, len(text)-escaped)
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		}
		b = append(b, text[i])
	}
	return string(b)
}

// astring is an atom, a quoted string or a literal.
func (p *parser) astring() string {
	if p.peek() == '"' || p.atLiteral() {
		return p.string()
	}
	return p.run(astringOK)
}

// nstring is a string or NIL; ok is false for NIL.
func (p *parser) nstring() (s string, ok bool) {
	if p.peek() == '"' || p.atLiteral() {
		return p.string(), true
	}
	if p.word() != "NIL" {
		p.fail("Missing string")
	}
	return "", false
}

// number reads digits with a value of at most limit.
func (p *parser) number(limit uint64) uint64 {
	start := p.pos
	var n uint64
	for ; p.pos < len(p.buf) && p.buf[p.pos]-'0' <= 9; p.pos++ {
		d := uint64(p.buf[p.pos] - '0')
		if n > (limit-d)/10 {
			p.fail("Number too large")
			return 0
		}
		n = n*10 + d
	}
	if p.pos == start {
		p.fail("Missing number")
	}
	return n
}

func (p *parser) number64() int64 { return int64(p.number(math.MaxInt64)) }

// nzNumber reads a number that is not zero (RFC 9051 nz-number).
func (p *parser) nzNumber() uint32 {
	n := uint32(p.number(math.MaxUint32))
	if n == 0 {
		p.fail("Number must not be zero")
	}
	return n
}

// list reads "(" item *(SP item) ")"; an empty list is allowed.
func (p *parser) list(item func()) {
	p.expect('(')
	if p.accept(')') {
		return
	}
	for p.err == nil {
		item()
		if p.accept(')') {
			return
		}
		p.space()
	}
}
