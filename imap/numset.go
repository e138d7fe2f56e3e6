package imap

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// numSet is a sequence-set as the client wrote it (RFC 9051 §9). 0 is "*".
type numSet struct {
	ranges []imap.SeqRange
	saved  bool // "$", the last saved search result (RFC 5182)
}

// maxRanges bounds a set; the length of a line does, more tightly, in practice.
const maxRanges = 100_000

// numSet reads a sequence-set.
func (p *parser) numSet() numSet {
	if p.accept('$') {
		return numSet{saved: true}
	}
	var s numSet
	for p.err == nil {
		r := imap.SeqRange{Start: p.setNumber()}
		r.Stop = r.Start
		if p.accept(':') {
			r.Stop = p.setNumber()
		}
		s.ranges = append(s.ranges, r)
		if len(s.ranges) > maxRanges {
			p.fail("Too many ranges")
		}
		if !p.accept(',') {
			break
		}
	}
	return s
}

func (p *parser) setNumber() uint32 {
	if p.accept('*') {
		return 0
	}
	return p.nzNumber()
}

// resolve puts last for "*" and returns sorted ranges that neither touch nor
// overlap.
func (s numSet) resolve(last uint32) []imap.SeqRange {
	out := make([]imap.SeqRange, 0, len(s.ranges))
	for _, r := range s.ranges {
		r.Start, r.Stop = cmp.Or(r.Start, last), cmp.Or(r.Stop, last)
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b imap.SeqRange) int { return cmp.Compare(a.Start, b.Start) })
	n := 0
	for _, r := range out {
		if n > 0 && uint64(r.Start) <= uint64(out[n-1].Stop)+1 {
			out[n-1].Stop = max(out[n-1].Stop, r.Stop)
			continue
		}
		out[n] = r
		n++
	}
	return out[:n]
}
