package imap

import (
	"cmp"
	"context"
	"slices"
)

// sortKey is one criterion of SORT (RFC 5256 §3, RFC 5957).
type sortKey struct {
	by      sortBy
	reverse bool
}

type sortBy int

const (
	byArrival sortBy = iota
	byCc
	byDate
	byFrom
	bySize
	bySubject
	byTo
	byShownFrom
	byShownTo
	byRelevancy // RFC 6203 §5
)

var sortKeys = map[string]sortBy{
	"ARRIVAL": byArrival, "CC": byCc, "DATE": byDate, "FROM": byFrom, "SIZE": bySize, "SUBJECT": bySubject, "TO": byTo,
	"DISPLAYFROM": byShownFrom, "DISPLAYTO": byShownTo, "RELEVANCY": byRelevancy,
}

// maxSortKeys bounds the criteria of a SORT.
const maxSortKeys = 20

// sortParser reads SORT and UID SORT.
func sortParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		r := &searchRequest{kind: kind}
		p.space()
		r.options(p)
		p.list(func() { r.order = append(r.order, p.sortKey()) })
		if len(r.order) == 0 || len(r.order) > maxSortKeys {
			p.fail("Missing or too many sort keys")
		}
		p.space()
		r.charset(p)
		r.keys(p)
		return r
	}
}

func (p *parser) sortKey() (k sortKey) {
	word := p.word()
	if word == "REVERSE" {
		k.reverse = true
		p.space()
		word = p.word()
	}
	by, ok := sortKeys[word]
	if !ok {
		p.fail("Unknown sort key")
	}
	k.by = by
	return k
}

// sortValue is what a message is sorted by under one key: a number or a text.
type sortValue struct {
	number int64
	text   string
}

// sort brings what was found into order. What is equal stays in the order of
// the sequence numbers. It holds 24 octets for each message and key, and of a
// text at most maxCollated octets.
func (r *searchRun) sort(ctx context.Context, keys []sortKey, found hits) (hits, error) {
	n := len(keys)
	values := make([]sortValue, n*len(found.at))
	c := &candidate{run: r, view: r.view}
	defer c.forget()
	for k, i := range found.at {
		if k%pauseEvery == 0 {
			if err := r.pause(ctx, k, len(found.at)); err != nil {
				return found, err
			}
		}
		c.take(i)
		if found.scores != nil {
			c.score = int(found.scores[k])
		}
		if err := c.sortValues(ctx, keys, values[k*n:k*n+n]); err != nil {
			return found, err
		}
	}
	order := make([]int, len(found.at))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(compareValues(keys, values[a*n:a*n+n], values[b*n:b*n+n]), cmp.Compare(a, b))
	})
	sorted := hits{at: order}
	if found.scores != nil {
		sorted.scores = make([]byte, len(order))
	}
	for to, from := range order {
		if found.scores != nil {
			sorted.scores[to] = found.scores[from]
		}
		order[to] = found.at[from]
	}
	return sorted, nil
}

func compareValues(keys []sortKey, a, b []sortValue) int {
	for k := range keys {
		d := cmp.Compare(a[k].number, b[k].number)
		if d == 0 {
			d = cmp.Compare(a[k].text, b[k].text)
		}
		if d != 0 {
			if keys[k].reverse {
				return -d
			}
			return d
		}
	}
	return 0
}

// sortValues gathers what the message is sorted by. One that can't be read has
// no texts, and the date that it came.
func (c *candidate) sortValues(ctx context.Context, keys []sortKey, values []sortValue) error {
	var h heading
	if slices.ContainsFunc(keys, func(k sortKey) bool { return k.by.inHeader() }) {
		var err error
		if h, err = c.heading(ctx); err != nil {
			if err = c.run.passOver(ctx, c, err); err != nil {
				return err
			}
			h = heading{}
		}
	}
	for i, k := range keys {
		values[i] = c.sortValue(k.by, &h)
	}
	return nil
}

// inHeader reports whether a key is about the message's header.
func (by sortBy) inHeader() bool { return by != byArrival && by != bySize && by != byRelevancy }

func (c *candidate) sortValue(by sortBy, h *heading) sortValue {
	switch by {
	case byArrival:
		return sortValue{number: c.entry.sent}
	case bySize:
		return sortValue{number: c.entry.size()}
	case byRelevancy:
		return sortValue{number: -int64(c.score)} // the best first
	case byDate:
		return sortValue{number: c.sentDate(h)}
	case bySubject:
		base, _ := baseSubject(h.subject)
		return sortValue{text: collated(base)}
	case byCc:
		return sortValue{text: collated(h.cc)}
	case byFrom:
		return sortValue{text: collated(h.from)}
	case byTo:
		return sortValue{text: collated(h.to)}
	case byShownFrom:
		return sortValue{text: collated(h.showFrom)}
	}
	return sortValue{text: collated(h.showTo)}
}

// sentDate is the date of RFC 5256 §2.2, in seconds since 1970: without a
// usable Date field that of the arrival.
func (c *candidate) sentDate(h *heading) int64 {
	if h.dated {
		return h.sent
	}
	return c.entry.sent
}
