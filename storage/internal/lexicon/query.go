package lexicon

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/internal/fold"
)

// maxTerms bounds the words of a query that are looked for: the longest.
const maxTerms = 8

// Query is a text to look for. It is for one goroutine.
type Query struct {
	terms []term

	tokens tokenSpace // of a search
	lists  []byte
}

// term is what a message must have, so that it can hold the text: a token that
// holds octets at a certain place.
type term struct {
	text         []byte
	begins, ends bool   // the token begins, or ends, with the text
	pattern      []byte // text with an LF where the token begins or ends
}

// NewQuery prepares a search for a text, in any letter case.
func NewQuery(text string) *Query {
	folded, _ := fold.Append(nil, []byte(text))
	q := new(Query)
	if !utf8.Valid(folded) {
		return q // it could begin or end within a character
	}
	c := classes()
	for i := 0; i < len(folded); {
		k, n := c.next(folded[i:])
		switch k {
		case single:
			q.add(term{text: folded[i : i+n], begins: true, ends: true})
		case inside:
			for n < len(folded)-i {
				k, m := c.next(folded[i+n:])
				if k != inside {
					break
				}
				n += m
			}
			q.add(term{text: folded[i : i+n], begins: i > 0, ends: i+n < len(folded)})
		}
		i += n
	}
	slices.SortStableFunc(q.terms, func(a, b term) int { return cmp.Compare(len(b.text), len(a.text)) })
	q.terms = q.terms[:min(len(q.terms), maxTerms)]
	return q
}

// All reports whether the text says nothing of which messages hold it.
func (q *Query) All() bool { return len(q.terms) == 0 }

// add adds a term, as weak as it must be since tokens are cut, unless nearly
// every message has it.
func (q *Query) add(t term) {
	switch n := len(t.text); {
	case n == 1 && !(t.begins && t.ends):
		return
	case t.begins && n > longest:
		t.text, t.ends = t.text[:longest], false
	case !t.begins && t.ends && n > step:
		t.text = t.text[n-step:]
	case !t.begins && n > step:
		t.text = t.text[:step]
	}
	if t.begins {
		t.pattern = append(t.pattern, '\n')
	}
	t.pattern = append(t.pattern, t.text...)
	if t.ends {
		t.pattern = append(t.pattern, '\n')
	}
	if !slices.ContainsFunc(q.terms, func(had term) bool { return string(had.pattern) == string(t.pattern) }) {
		q.terms = append(q.terms, t)
	}
}
