package message

import "strings"

// simple takes the next address when it is written as nearly all are: "Jane
// Doe <jane@example.org>" or "jane@example.org", up to the comma or the end.
// Its parts then are pieces of the field, without copies. It takes nothing
// when anything else stands there; what step makes of these forms is the same.
func (p *addressParser) simple() bool {
	if len(p.text) > 0 || p.bracket != noBracket || p.comment != "" {
		return false
	}
	s := simpleScanner{p.s, p.i}
	s.blanks()
	name, single := s.phrase()
	var a Address
	switch {
	case s.at('<'):
		s.i++
		mailbox := s.dotAtom('@')
		host := s.dotAtom('>')
		a = Address{name, mailbox, host}
	case single && s.at('@') && !strings.Contains(name, "=?"):
		s.i++
		a = Address{"", name, s.domain()}
	}
	if a.Mailbox == "" || a.Host == "" {
		return false
	}
	s.blanks()
	switch {
	case s.at(','):
		s.i++
	case s.i < len(s.s):
		return false
	}
	if len(p.list) < p.room() {
		p.list = append(p.list, a)
	}
	p.i, p.space = s.i, false
	return true
}

// simpleScanner walks over one address.
type simpleScanner struct {
	s string
	i int
}

func (s *simpleScanner) at(c byte) bool { return s.i < len(s.s) && s.s[s.i] == c }

func (s *simpleScanner) blanks() {
	for s.at(' ') || s.at('\t') {
		s.i++
	}
}

// phrase reads a quoted string without escapes, or words with one space
// between each; single tells that it was one word without quotes.
func (s *simpleScanner) phrase() (name string, single bool) {
	if s.at('"') {
		inner, rest, escaped := cutQuoted(s.s[s.i:])
		if escaped {
			return "", false
		}
		s.i = len(s.s) - len(rest)
		s.blanks()
		return inner, false
	}
	start, end := s.i, s.i
	single = true
	for s.i < len(s.s) && (s.s[s.i] == ' ' || !isAddressSpecial(s.s[s.i])) {
		switch s.s[s.i] {
		case ' ':
			if end < s.i { // two of them
				return "", false
			}
			single = false
			s.i++
			continue
		case '=':
			s.i += max(1, encodedWordLen(s.s[s.i:]))
		default:
			s.i++
		}
		end = s.i
	}
	return s.s[start:end], single
}

// dotAtom reads what stands before the delimiter and passes it; empty is
// anything that is not simple.
func (s *simpleScanner) dotAtom(delimiter byte) string {
	text := s.domain()
	if !s.at(delimiter) {
		return ""
	}
	s.i++
	return text
}

func (s *simpleScanner) domain() string {
	start := s.i
	for s.i < len(s.s) && !isAddressSpecial(s.s[s.i]) {
		s.i++
	}
	if text := s.s[start:s.i]; !strings.Contains(text, "=?") {
		return text
	}
	return ""
}
