package imap

import (
	"context"
	"strings"
)

// languages are those of the texts in responses (RFC 5255 §3). Texts in
// i-default are in English (RFC 2277 §4.5).
var languages = []string{"i-default", "en"}

// maxLanguages bounds the ranges of one LANGUAGE.
const maxLanguages = 100

var errNoLanguage = no("", "Language not supported")

type languageRequest struct{ ranges []string }

// parseLanguage reads LANGUAGE (RFC 5255 §3.2).
func parseLanguage(p *parser) request {
	r := &languageRequest{}
	for p.more() && p.err == nil {
		p.space()
		if r.ranges = append(r.ranges, p.astring()); len(r.ranges) > maxLanguages {
			p.fail("Too many languages")
		}
	}
	return r
}

// run answers with the language that is spoken from here on, which changes
// nothing, or with all that can be. A client that is logged in hears the
// namespaces again, since their names could have been translated.
func (r *languageRequest) run(ctx context.Context, s *session) (result, error) {
	if len(r.ranges) == 0 {
		s.tellLanguages(languages...)
		return result{}, nil
	}
	language, ok := chooseLanguage(r.ranges)
	if !ok {
		return result{}, errNoLanguage
	}
	s.tellLanguages(language)
	if s.states() == before {
		return result{}, nil
	}
	return parseNamespace(nil).run(ctx, s)
}

// chooseLanguage returns the language for the first of the ranges that has one.
// A range is made shorter from its end until it does (RFC 4647 §3.4).
func chooseLanguage(ranges []string) (language string, ok bool) {
	for _, want := range ranges {
		if want == "*" || strings.EqualFold(want, "default") {
			return languages[0], true
		}
		for i := len(want); i > 0; i = strings.LastIndexByte(want, '-') {
			want = want[:i]
			for _, l := range languages {
				if strings.EqualFold(l, want) {
					return l, true
				}
			}
		}
	}
	return "", false
}

func (s *session) tellLanguages(list ...string) {
	s.out.text("* LANGUAGE (" + strings.Join(list, " ") + ")")
	s.out.end()
}
