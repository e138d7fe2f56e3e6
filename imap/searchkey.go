package imap

import (
	"cmp"
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// key is one search key (RFC 9051 §6.4.4), or several joined by AND, OR and NOT.
type key struct {
	cost     cost
	fleeting bool                    // what matches changes without a change of a message: numbers, ages, "$"
	numbered bool                    // it holds sequence numbers
	possible func(c *candidate) bool // false: match would say no; nil: nothing is known without looking
	match    func(ctx context.Context, c *candidate) (bool, error)

	// within holds for all messages that the key can match; nil: for all there
	// are. It names the messages that a search is about.
	within func(c *candidate) bool
}

// cost says what a key has to look at. Cheaper keys are asked first.
type cost int

const (
	costView   cost = iota // what the view holds
	costIndex              // the part index
	costHeader             // the header
	costBody               // the whole content
)

// Bounds of a search.
const (
	maxSearchDepth = 100
	maxSearchKeys  = 2000
)

// keyParser reads search keys.
type keyParser struct {
	*parser
	keys    int
	depth   int
	fuzzies int // FUZZY stands so often
}

// all reads keys up to the end of a list or of the command and joins them by AND.
func (p *keyParser) all() key {
	keys := []key{p.one()}
	for p.accept(' ') {
		keys = append(keys, p.one())
	}
	return and(keys)
}

// one reads a single key.
func (p *keyParser) one() key {
	if p.keys++; p.keys > maxSearchKeys || p.depth >= maxSearchDepth {
		p.fail("Search is too complicated")
		return key{}
	}
	p.depth++
	defer func() { p.depth-- }()
	switch c := p.peek(); {
	case p.accept('('):
		k := p.all()
		p.expect(')')
		return k
	case c >= '0' && c <= '9', c == '*', c == '$':
		if p.uidOnly && c != '$' {
			p.refuse(errUIDRequired)
		}
		k := setKey(p.numSet(), bySeq)
		k.fleeting, k.numbered = true, c != '$'
		return k
	}
	switch name := p.word(); name {
	case "FUZZY":
		return p.fuzzyKey()
	case "NOT":
		p.space()
		return not(p.one())
	case "OR":
		p.space()
		a := p.one()
		p.space()
		return or(a, p.one())
	default:
		read, ok := searchKeys[name]
		if !ok {
			p.fail("Unknown search key")
			return key{}
		}
		return read(p.parser)
	}
}

// fuzzyKey reads the key behind FUZZY (RFC 6203 §3). Keys that look for no text
// are as exact as without it.
func (p *keyParser) fuzzyKey() key {
	before := p.fuzzy
	defer func() { p.fuzzy = before }()
	p.fuzzy, p.fuzzies = true, p.fuzzies+1
	p.space()
	return p.one()
}

// searchKeys are the keys that contain no other keys (RFC 9051 §6.4.4,
// RFC 5032, RFC 8474 §6, RFC 8514 §4.3).
var searchKeys = map[string]func(p *parser) key{
	"ALL":        hasFlag(0),
	"ANSWERED":   hasFlag(storage.Answered),
	"UNANSWERED": lacksFlag(storage.Answered),
	"DELETED":    hasFlag(storage.Deleted),
	"UNDELETED":  lacksFlag(storage.Deleted),
	"DRAFT":      hasFlag(storage.Draft),
	"UNDRAFT":    lacksFlag(storage.Draft),
	"FLAGGED":    hasFlag(storage.Flagged),
	"UNFLAGGED":  lacksFlag(storage.Flagged),
	"SEEN":       hasFlag(storage.Seen),
	"UNSEEN":     lacksFlag(storage.Seen),
	"RECENT":     func(*parser) key { return viewKey((*candidate).recent) },
	"OLD":        func(*parser) key { return not(viewKey((*candidate).recent)) },
	"NEW": func(*parser) key {
		return viewKey(func(c *candidate) bool { return c.recent() && c.entry.system()&storage.Seen == 0 })
	},
	"KEYWORD":    func(p *parser) key { return keywordKey(p) },
	"UNKEYWORD":  func(p *parser) key { return not(keywordKey(p)) },
	"UID":        func(p *parser) key { p.space(); return setKey(p.numSet(), byUID) },
	"UIDAFTER":   uidKey(func(have, limit uint32) bool { return have > limit }),
	"UIDBEFORE":  uidKey(func(have, limit uint32) bool { return have < limit }),
	"MODSEQ":     modSeqKey,
	"BEFORE":     dateKey(costView, (*candidate).received, func(have, want day) bool { return have < want }),
	"ON":         dateKey(costView, (*candidate).received, func(have, want day) bool { return have == want }),
	"SINCE":      dateKey(costView, (*candidate).received, func(have, want day) bool { return have >= want }),
	"SENTBEFORE": dateKey(costIndex, (*candidate).sent, func(have, want day) bool { return have < want }),
	"SENTON":     dateKey(costIndex, (*candidate).sent, func(have, want day) bool { return have == want }),
	"SENTSINCE":  dateKey(costIndex, (*candidate).sent, func(have, want day) bool { return have >= want }),
	"LARGER":     sizeKey(func(have, want int64) bool { return have > want }),
	"SMALLER":    sizeKey(func(have, want int64) bool { return have < want }),
	"OLDER":      ageKey(func(age, limit int64) bool { return age >= limit }),
	"YOUNGER":    ageKey(func(age, limit int64) bool { return age <= limit }),
	"FROM":       fieldKey("From"),
	"TO":         fieldKey("To"),
	"CC":         fieldKey("Cc"),
	"BCC":        fieldKey("Bcc"),
	"SUBJECT":    fieldKey("Subject"),
	"HEADER": func(p *parser) key {
		p.space()
		name := p.astring()
		return fieldKey(name)(p)
	},
	"SAVEDBEFORE":       dateKey(costIndex, (*candidate).savedOn, func(have, want day) bool { return have < want }),
	"SAVEDON":           dateKey(costIndex, (*candidate).savedOn, func(have, want day) bool { return have == want }),
	"SAVEDSINCE":        dateKey(costIndex, (*candidate).savedOn, func(have, want day) bool { return have >= want }),
	"SAVEDATESUPPORTED": func(*parser) key { return viewKey((*candidate).savesDates) },
	"EMAILID":           emailIDKey,
	"THREADID":          threadIDKey,
	"BODY":              contentKey((*candidate).bodyHolds),
	"TEXT":              contentKey((*candidate).textHolds),
}

// searchText reads the string that a key looks for.
func (p *parser) searchText() string {
	p.space()
	s := p.astring()
	if !utf8.ValidString(s) {
		p.fail("String is not in the charset of the search")
	}
	return s
}

func viewKey(match func(c *candidate) bool) key {
	return key{cost: costView, match: func(_ context.Context, c *candidate) (bool, error) { return match(c), nil }}
}

func hasFlag(flags storage.SystemFlags) func(*parser) key {
	return func(*parser) key {
		return viewKey(func(c *candidate) bool { return c.entry.system()&flags == flags })
	}
}

func lacksFlag(flags storage.SystemFlags) func(*parser) key {
	return func(p *parser) key { return not(hasFlag(flags)(p)) }
}

func keywordKey(p *parser) key {
	p.space()
	k := imap.Flag(p.atom())
	return viewKey(func(c *candidate) bool { return c.view.flags(c.entry).HasKeyword(k) })
}

func setKey(set numSet, kind numKind) key {
	var spans []span
	var resolved *searchRun
	k := namingKey(func(c *candidate) bool {
		if resolved != c.run {
			spans, _ = c.view.clip(set, kind)
			resolved = c.run
		}
		_, in := slices.BinarySearchFunc(spans, c.i, func(s span, i int) int {
			switch {
			case s.to <= i:
				return -1
			case s.from > i:
				return 1
			}
			return 0
		})
		return in
	})
	k.fleeting = set.saved || slices.ContainsFunc(set.ranges, func(r imap.SeqRange) bool { return r.Start == 0 || r.Stop == 0 })
	return k
}

func dateKey(cost cost, of func(*candidate, context.Context) (day, bool, error), holds func(have, want day) bool) func(*parser) key {
	return func(p *parser) key {
		p.space()
		want := p.date()
		return key{cost: cost, match: func(ctx context.Context, c *candidate) (bool, error) {
			have, ok, err := of(c, ctx)
			return ok && holds(have, want), err
		}}
	}
}

func sizeKey(holds func(have, want int64) bool) func(*parser) key {
	return func(p *parser) key {
		p.space()
		want := p.number64()
		return viewKey(func(c *candidate) bool { return holds(c.entry.size(), want) })
	}
}

func ageKey(holds func(age, limit int64) bool) func(*parser) key {
	return func(p *parser) key {
		p.space()
		limit, now := int64(p.nzNumber()), time.Now().Unix()
		k := viewKey(func(c *candidate) bool { return holds(now-c.entry.sent, limit) })
		k.fleeting = true
		return k
	}
}

// and joins keys; the cheapest is asked first.
func and(keys []key) key {
	if len(keys) == 1 {
		return keys[0]
	}
	slices.SortStableFunc(keys, func(a, b key) int { return cmp.Compare(a.cost, b.cost) })
	all := key{cost: keys[len(keys)-1].cost, within: withinAll(keys)}
	var bounds []func(*candidate) bool
	for _, k := range keys {
		all.fleeting, all.numbered = all.fleeting || k.fleeting, all.numbered || k.numbered
		if k.possible != nil {
			bounds = append(bounds, k.possible)
		}
	}
	if bounds != nil {
		all.possible = func(c *candidate) bool {
			for _, possible := range bounds {
				if !possible(c) {
					return false
				}
			}
			return true
		}
	}
	all.match = func(ctx context.Context, c *candidate) (bool, error) {
		for _, k := range keys {
			if ok, err := k.match(ctx, c); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return all
}

func or(a, b key) key {
	if a.cost > b.cost {
		a, b = b, a
	}
	either := key{cost: b.cost, within: withinAny(a, b), fleeting: a.fleeting || b.fleeting, numbered: a.numbered || b.numbered}
	if a.possible != nil && b.possible != nil {
		either.possible = func(c *candidate) bool { return a.possible(c) || b.possible(c) }
	}
	either.match = func(ctx context.Context, c *candidate) (bool, error) {
		if ok, err := a.match(ctx, c); ok || err != nil {
			return ok, err
		}
		return b.match(ctx, c)
	}
	return either
}

func not(k key) key {
	opposite := k
	opposite.possible, opposite.within = nil, nil
	opposite.match = func(ctx context.Context, c *candidate) (bool, error) {
		ok, err := k.match(ctx, c)
		return !ok, err
	}
	return opposite
}
