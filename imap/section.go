package imap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Bounds of a section.
const (
	maxPath   = 1000    // part numbers; deeper parts don't exist
	maxFields = 1000    // names in HEADER.FIELDS
	maxPart   = 1 << 30 // a part number
)

// sectionPath reads "1.2.3" and what may follow the last dot: a word in
// capitals, or "".
func (p *parser) sectionPath() (path []int, word string) {
	for p.peek() != ']' {
		if c := p.peek(); c < '0' || c > '9' {
			return path, strings.ToUpper(p.sectionWord())
		}
		n := p.number(maxPart)
		if n == 0 || len(path) >= maxPath {
			p.fail("Invalid part number")
		}
		path = append(path, int(n))
		if !p.accept('.') {
			break
		}
		if p.peek() == ']' {
			p.fail("Invalid section")
		}
	}
	return path, ""
}

// sectionWord is a run of letters and dots.
func (p *parser) sectionWord() string {
	start := p.pos
	for p.more() && classes[p.buf[p.pos]]&(atomChar|sectionEnd) == atomChar {
		p.pos++
	}
	return string(p.buf[start:p.pos])
}

// bodySection reads what stands in the brackets of BODY[…] (RFC 9051
// §6.4.5.1), and the partial after them.
func (p *parser) bodySection() *imap.FetchItemBodySection {
	s := &imap.FetchItemBodySection{}
	p.expect('[')
	path, word := p.sectionPath()
	s.Part = path
	switch word {
	case "":
	case "HEADER", "TEXT":
		s.Specifier = imap.PartSpecifier(word)
	case "MIME":
		s.Specifier = imap.PartSpecifierMIME
		if len(path) == 0 {
			p.fail("MIME needs a part number")
		}
	case "HEADER.FIELDS":
		s.Specifier, s.HeaderFields = imap.PartSpecifierHeader, p.fieldNames()
	case "HEADER.FIELDS.NOT":
		s.Specifier, s.HeaderFieldsNot = imap.PartSpecifierHeader, p.fieldNames()
	default:
		p.fail("Unknown section")
	}
	p.expect(']')
	s.Partial = p.partial()
	return s
}

func (p *parser) fieldNames() (names []string) {
	p.space()
	p.list(func() {
		names = append(names, p.astring())
		if len(names) > maxFields {
			p.fail("Too many field names")
		}
	})
	if len(names) == 0 {
		p.fail("Missing field names")
	}
	return names
}

// binarySection reads what stands in the brackets of BINARY[…] (RFC 9051
// §6.4.5, RFC 3516).
func (p *parser) binarySection() []int {
	p.expect('[')
	path, word := p.sectionPath()
	if word != "" {
		p.fail("Unknown section")
	}
	p.expect(']')
	return path
}

// partial reads "<offset.count>"; nil when there is none.
func (p *parser) partial() *imap.SectionPartial {
	if !p.accept('<') {
		return nil
	}
	s := &imap.SectionPartial{Offset: p.number64()}
	p.expect('.')
	if s.Size = p.number64(); s.Size == 0 {
		p.fail("Invalid partial")
	}
	p.expect('>')
	return s
}

// cutPartial returns which of n octets a partial asks for. Nothing can
// overflow: both results are within n.
func cutPartial(s *imap.SectionPartial, n int64) (off, count int64) {
	if s == nil {
		return 0, n
	}
	off = min(s.Offset, n)
	return off, min(s.Size, n-off)
}

// sectionLabel is how a response names the section that it answers.
func sectionLabel(s *imap.FetchItemBodySection) string {
	var b strings.Builder
	b.WriteString("BODY[")
	b.WriteString(pathText(s.Part))
	if s.Specifier != imap.PartSpecifierNone {
		if len(s.Part) > 0 {
			b.WriteByte('.')
		}
		b.WriteString(string(s.Specifier))
	}
	names := s.HeaderFields
	if s.HeaderFieldsNot != nil {
		b.WriteString(".FIELDS.NOT")
		names = s.HeaderFieldsNot
	} else if s.HeaderFields != nil {
		b.WriteString(".FIELDS")
	}
	if names != nil {
		var o output
		sep := " ("
		for _, n := range names {
			o.text(sep)
			o.astring(n)
			sep = " "
		}
		b.Write(o.b)
		b.WriteByte(')')
	}
	b.WriteByte(']')
	b.WriteString(originText(s.Partial))
	return b.String()
}

func originText(s *imap.SectionPartial) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("<%d>", s.Offset)
}

func pathText(path []int) string {
	words := make([]string, len(path))
	for i, n := range path {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ".")
}
