package imap

// page is a range of results by their place (RFC 9394 §3.1): the first one is
// 1, or the last one is when it counts from the end.
type page struct {
	first, last uint32 // first <= last
	fromEnd     bool
	text        string // as the client wrote it
}

// page reads a partial-range.
func (p *parser) page() (g page) {
	start := p.pos
	g.fromEnd = p.accept('-')
	g.first = p.nzNumber()
	p.expect(':')
	if g.fromEnd {
		p.expect('-')
	}
	g.last = p.nzNumber()
	if p.err != nil {
		return page{}
	}
	g.text = string(p.buf[start:p.pos])
	if g.first > g.last {
		g.first, g.last = g.last, g.first
	}
	return g
}

// of returns which of n results the page holds: from <= i < to.
func (g page) of(n int) (from, to int) {
	from, to = min(int(g.first)-1, n), min(int(g.last), n)
	if g.fromEnd {
		return n - to, n - from
	}
	return from, to
}
