package imap

import (
	"context"
	"log/slog"
	"strings"
	"unicode"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// textKey looks for a string in what the index knows nothing of: the header
// or the text of messages. Where the mailbox has an index of words it is asked
// once a search has had to read a few messages, and from then on only messages
// that it names are read: each is looked at, the index only says where not to.
type textKey struct {
	whole *needle
	words []*needle // behind FUZZY: all of them, in any order, are enough
	holds func(c *candidate, ctx context.Context, n *needle) (bool, error)
	field textField // that text rows have; noField: it looks elsewhere

	run    *searchRun // that the rest is of
	looked int        // messages that were read
	asked  bool
	among  []imap.UIDSet // of the index: only messages in all of them can match
}

// askIndexAfter is how many messages are read before an index of words is
// asked: it may take as long to answer as to read what it does not know yet.
const askIndexAfter = 8

// maxFuzzyWords bounds the words of a fuzzy key.
const maxFuzzyWords = 16

// Scores of messages that a fuzzy key finds (RFC 6203 §4).
const (
	scoreWhole = 100
	scoreWords = 50
)

func newTextKey(p *parser, c cost, k *textKey) key {
	k.whole = newNeedle(p.searchText())
	if p.fuzzy {
		k.words = fuzzyWords(k.whole.said)
	}
	return key{cost: c, possible: k.possible, match: k.match}
}

// fieldKey looks into header fields of a name.
func fieldKey(name string) func(*parser) key {
	field, ok := textFieldOf(name)
	if !ok {
		return func(p *parser) key {
			return newTextKey(p, costHeader, &textKey{field: noField, holds: func(c *candidate, ctx context.Context, n *needle) (bool, error) {
				return c.fieldHolds(ctx, name, n)
			}})
		}
	}
	return func(p *parser) key {
		return newTextKey(p, costHeader, &textKey{field: field, holds: func(c *candidate, ctx context.Context, n *needle) (bool, error) {
			row, err := c.row(ctx, textRow)
			return err == nil && rowHolds(row, field, n), err
		}})
	}
}

// contentKey looks into the text of a message.
func contentKey(holds func(*candidate, context.Context, *needle) (bool, error)) func(*parser) key {
	return func(p *parser) key { return newTextKey(p, costBody, &textKey{field: noField, holds: holds}) }
}

// fuzzyWords takes a string apart into its words. A string with none, or with
// too many, is looked for as it is.
func fuzzyWords(text string) (words []*needle) {
	for w := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		words = append(words, newNeedle(w))
	}
	if len(words) > maxFuzzyWords {
		return nil
	}
	return words
}

// possible reports whether the message can match, by what is known already.
func (k *textKey) possible(c *candidate) bool {
	if k.run == c.run {
		for _, set := range k.among {
			if !set.Contains(c.entry.uid) {
				return false
			}
		}
	}
	return true
}

func (k *textKey) match(ctx context.Context, c *candidate) (bool, error) {
	if k.run != c.run {
		k.run, k.looked, k.asked, k.among = c.run, 0, false, nil
	}
	row := ""
	if k.field != noField {
		row = c.run.sheet(textRow).get(c.entry.uid)
	}
	if row == "" {
		if k.looked++; k.looked > askIndexAfter && !k.asked {
			if err := k.ask(ctx, c); err != nil {
				return false, err
			}
		}
		if !k.possible(c) {
			return false, nil
		}
	}
	return k.judge(ctx, c, row)
}

// judge looks at the message itself, or at its row where there is one.
func (k *textKey) judge(ctx context.Context, c *candidate, row string) (bool, error) {
	if ok, err := k.in(ctx, c, row, k.whole); ok || err != nil {
		c.rate(scoreWhole)
		return ok, err
	}
	for _, w := range k.words {
		if ok, err := k.in(ctx, c, row, w); !ok || err != nil {
			return false, err
		}
	}
	if len(k.words) == 0 {
		return false, nil
	}
	c.rate(scoreWords)
	return true, nil
}

func (k *textKey) in(ctx context.Context, c *candidate, row string, n *needle) (bool, error) {
	if row != "" {
		return rowHolds(row, k.field, n), nil
	}
	return k.holds(c, ctx, n)
}

// ask asks the mailbox's index of words. Without an answer all messages are read.
func (k *textKey) ask(ctx context.Context, c *candidate) error {
	k.asked = true
	index, ok := storage.As[storage.TextIndex](c.view.box)
	if !ok {
		return nil
	}
	texts := k.words
	if len(texts) == 0 {
		texts = []*needle{k.whole}
	}
	for _, n := range texts {
		if n.text == "" {
			continue
		}
		set, err := index.TextCandidates(ctx, n.said)
		switch {
		case err == nil:
			k.among = append(k.among, set)
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			c.run.session.log(ctx, slog.LevelWarn, "index of words did not answer", err, "mailbox", c.view.name)
			return nil
		}
	}
	return nil
}

// rate notes how well a fuzzy key matches; the worst counts.
func (c *candidate) rate(score int) {
	if c.score == 0 || score < c.score {
		c.score = score
	}
}
