package imap

import (
	"context"
	"strings"
)

// extensions is a set of what a client can enable (RFC 5161).
type extensions uint8

const (
	rev2      extensions = 1 << iota // RFC 9051
	condstore                        // RFC 7162
	qresync                          // RFC 7162, with condstore
	utf8only                         // UTF8=ACCEPT, RFC 6855
	uidOnly                          // RFC 9586
)

// enableable is what ENABLE knows, and what each turns on.
var enableable = map[string]extensions{
	"CONDSTORE":   condstore,
	"IMAP4rev2":   rev2,
	"QRESYNC":     condstore | qresync,
	"UIDONLY":     uidOnly,
	"UTF8=ACCEPT": utf8only,
}

// enabled reports whether the client has turned on any of these.
func (s *session) enabled(any extensions) bool { return s.extensions&any != 0 }

type enableRequest struct{ words []string }

// parseEnable reads ENABLE (RFC 9051 §6.3.1).
func parseEnable(p *parser) request {
	r := &enableRequest{}
	for more := true; more && p.err == nil; more = p.more() {
		p.space()
		r.words = append(r.words, p.word())
	}
	return r
}

// run passes over what is not known.
func (r *enableRequest) run(_ context.Context, s *session) (result, error) {
	s.out.text("* ENABLED")
	before, told := s.extensions, map[string]bool{}
	for _, word := range r.words {
		for name, e := range enableable {
			if strings.EqualFold(name, word) && before&e != e && !told[name] {
				s.extensions |= e
				told[name] = true
				s.out.text(" " + name)
			}
		}
	}
	s.out.utf8, s.out.rev2 = s.enabled(rev2|utf8only), s.enabled(rev2)
	s.out.end()
	return result{}, nil
}
