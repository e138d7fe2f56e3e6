package imap

import (
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// storeModifiers reads "(UNCHANGEDSINCE n)" (RFC 7162 §3.1.3).
func (p *parser) storeModifiers(r *storeRequest) {
	p.list(func() {
		if p.word() != "UNCHANGEDSINCE" || r.conditional {
			p.fail("Unknown or repeated STORE modifier")
		}
		p.space()
		r.conditional, r.unchanged = true, p.modSeqOrZero()
	})
	if !r.conditional {
		p.fail("Missing STORE modifier")
	}
	p.space()
}

// modified is the answer to a conditional STORE that left messages alone.
func (r *storeRequest) modified(v *view, failed imap.UIDSet) result {
	if len(failed) == 0 {
		return result{}
	}
	set := failed.String()
	if r.kind == bySeq {
		set = string(appendSpans(nil, v.spansOfSet(failed)))
	}
	return result{code: "MODIFIED " + set, text: "Conditional STORE failed"}
}

// spansOfSet returns where the messages of an ascending set stand.
func (v *view) spansOfSet(set imap.UIDSet) (out []span) {
	for _, r := range set {
		s := v.spanOfUIDs(imap.SeqRange{Start: uint32(r.Start), Stop: uint32(r.Stop)})
		switch last := len(out) - 1; {
		case s.from >= s.to:
		case last >= 0 && out[last].to == s.from:
			out[last].to = s.to
		default:
			out = append(out, s)
		}
	}
	return out
}

// appendSpans writes spans as sequence numbers.
func appendSpans(b []byte, spans []span) []byte {
	for i, s := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(s.from+1), 10)
		if s.to > s.from+1 {
			b = strconv.AppendInt(append(b, ':'), int64(s.to), 10)
		}
	}
	return b
}

// minus returns spans without those of less. Both are ascending.
func minus(spans, less []span) (out []span) {
	for _, s := range spans {
		for len(less) > 0 && less[0].to <= s.from {
			less = less[1:]
		}
		for _, l := range less {
			if l.from >= s.to {
				break
			}
			if s.from < l.from {
				out = append(out, span{s.from, l.from})
			}
			s.from = l.to
		}
		if s.from < s.to {
			out = append(out, s)
		}
	}
	return out
}
