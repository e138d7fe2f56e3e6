package smtp

import "bytes"

// Where a dotScanner stands between two octets.
const (
	atLine  = iota // after CRLF, or before the first octet
	inLine         // anywhere else
	afterCR        // after a CR whose LF has yet to come
	atDot          // after a "." that begins a line
	atDotCR        // after a "." that begins a line and CR
)

// dotScanner finds the end of DATA and undoes the dots that were put before
// lines (RFC 5321 §4.5.2). Only CRLF "." CRLF is the end. It takes the content
// in windows of any size and does most of its work by searching for line
// feeds; its zero value stands before the first octet.
type dotScanner struct {
	state int
	bare  bool // a CR or LF came that was no part of CRLF
}

// scan takes octets off the front of w until the end of the content, which it
// reports, or the end of w. The content in them goes to out in pieces.
func (s *dotScanner) scan(w []byte, out func(piece []byte)) (n int, done bool) {
	from, i := 0, 0 // w[from:i] is content that out has not got yet
	crs := 0        // CRs that are accounted for
	emit := func() {
		if from < i {
			out(w[from:i])
		}
	}
	for i < len(w) {
		switch s.state {
		case atLine:
			s.state = inLine
			if w[i] == '.' {
				emit()
				i++
				from = i
				s.state = atDot
			}
		case atDot:
			if s.state = inLine; w[i] == '\r' {
				i++
				from = i
				crs++
				s.state = atDotCR
			}
		case atDotCR:
			if w[i] == '\n' {
				i++
				s.check(w[:i], crs)
				return i, true
			}
			s.bare = true
			s.state = inLine
		case afterCR:
			if s.state = inLine; w[i] == '\n' {
				i++
				s.state = atLine
			} else {
				s.bare = true
			}
		case inLine:
			i, crs = s.line(w, i, crs)
		}
	}
	emit()
	s.check(w, crs)
	return len(w), false
}

// line goes from i, inside of a line, to a line that begins with a dot or to
// the end of w.
func (s *dotScanner) line(w []byte, i, crs int) (int, int) {
	for {
		k := bytes.IndexByte(w[i:], '\n')
		if k < 0 {
			if w[len(w)-1] == '\r' {
				crs++
				s.state = afterCR
			}
			return len(w), crs
		}
		i += k + 1
		if k == 0 || w[i-2] != '\r' {
			s.bare = true
		} else {
			crs++
			if i == len(w) || w[i] == '.' {
				s.state = atLine
				return i, crs
			}
		}
		if i == len(w) {
			return i, crs
		}
	}
}

// check finds a lone CR in w by counting: every CR but those that were seen
// in their place is one.
func (s *dotScanner) check(w []byte, crs int) {
	if bytes.Count(w, cr) != crs {
		s.bare = true
	}
}

var cr = []byte{'\r'}

// lineEnds checks content that has a length of its own (BDAT) for CR and LF
// that stand alone. Its zero value stands before the first octet.
type lineEnds struct {
	afterCR bool
	bare    bool
}

// check takes the next piece.
func (l *lineEnds) check(p []byte) {
	if len(p) == 0 {
		return
	}
	crs := 0
	if l.afterCR && p[0] != '\n' {
		l.bare = true
	}
	for i := 0; ; {
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			break
		}
		switch i += k; {
		case i > 0 && p[i-1] == '\r':
			crs++
		case i > 0 || !l.afterCR:
			l.bare = true
		}
		i++
	}
	if l.afterCR = p[len(p)-1] == '\r'; l.afterCR {
		crs++
	}
	if bytes.Count(p, cr) != crs {
		l.bare = true
	}
}

// whole reports whether content that ends here has only CRLF.
func (l *lineEnds) whole() bool { return !l.bare && !l.afterCR }
