package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// resync is what a client that comes back says it knows of a mailbox
// (RFC 7162 §3.2.5).
type resync struct {
	validity uint32
	since    uint64
	known    []imap.SeqRange // UIDs, ascending; nil: all that it may know
	match    *seqMatch       // nil: not given
}

// seqMatch pairs sequence numbers with UIDs, as the client knows them
// (RFC 7162 §3.2.5.2). Both are ascending and equally many.
type seqMatch struct{ seqs, uids []imap.SeqRange }

var errNotResync = bad("QRESYNC is not enabled")

// selectParameters reads "(CONDSTORE)" and "(QRESYNC (…))" after the name of
// a mailbox.
func (p *parser) selectParameters(r *selectRequest) {
	if !p.accept(' ') {
		return
	}
	count := 0
	p.list(func() {
		count++
		switch word := p.word(); {
		case word == "CONDSTORE" && !r.condstore:
			r.condstore = true
		case word == "QRESYNC" && r.resync == nil:
			p.space()
			r.resync = p.resync()
		default:
			p.fail("Unknown or repeated parameter")
		}
	})
	if count == 0 {
		p.fail("Missing parameter")
	}
}

func (p *parser) resync() *resync {
	r := &resync{}
	p.expect('(')
	r.validity = p.nzNumber()
	p.space()
	r.since = p.modSeq()
	more := p.accept(' ')
	if more && p.peek() != '(' {
		r.known = p.knownSet().resolve(0)
		more = p.accept(' ')
	}
	if more {
		r.match = p.seqMatch()
	}
	p.expect(')')
	return r
}

// knownSet reads a set without "*" and "$".
func (p *parser) knownSet() numSet {
	set := p.numSet()
	if set.saved {
		p.fail("$ is not allowed here")
	}
	for _, r := range set.ranges {
		if r.Start == 0 || r.Stop == 0 {
			p.fail("* is not allowed here")
		}
	}
	return set
}

func (p *parser) seqMatch() *seqMatch {
	p.expect('(')
	m := &seqMatch{seqs: p.knownSet().ranges}
	p.space()
	m.uids = p.knownSet().ranges
	p.expect(')')
	n, ascending := countAscending(m.seqs)
	k, alsoAscending := countAscending(m.uids)
	if p.err == nil && (!ascending || !alsoAscending || n != k) {
		p.fail("Sets must be ascending and equally large")
	}
	if p.uidOnly {
		p.refuse(errUIDRequired)
	}
	return m
}

func countAscending(ranges []imap.SeqRange) (n uint64, ascending bool) {
	last := uint32(0)
	for _, r := range ranges {
		if r.Start <= last || r.Stop < r.Start {
			return 0, false
		}
		n += uint64(r.Stop-r.Start) + 1
		last = r.Stop
	}
	return n, true
}

// floor returns the UID up to which the client's sequence numbers are those of
// the view: it knows nothing up to there that is gone. Sequence numbers end
// with the view, so this takes no more steps than that has messages.
func (m *seqMatch) floor(v *view) (uid imap.UID) {
	if m == nil {
		return 0
	}
	k, at := 0, uint32(0) // the place in uids
	for _, r := range m.seqs {
		for seq := r.Start; seq <= r.Stop && int64(seq) <= int64(v.len()); seq++ {
			u := m.uids[k].Start + at
			if v.at(int(seq)-1).uid != imap.UID(u) {
				return uid
			}
			uid = imap.UID(u)
			if at++; u == m.uids[k].Stop {
				k, at = k+1, 0
			}
		}
		if int64(r.Stop) > int64(v.len()) {
			break
		}
	}
	return uid
}

// tellResync sends what happened in the mailbox that was just selected since
// the client left it: first what is gone, then what changed. With another
// UIDVALIDITY nothing that it knows is of use.
func (s *session) tellResync(ctx context.Context, r *resync) error {
	v := s.view
	if r.validity != v.validity {
		return nil
	}
	gone, err := v.vanished(ctx, &vanishing{since: r.since, known: r.known, match: r.match})
	if err != nil {
		return err
	}
	s.tellVanished(" (EARLIER) ", gone)
	known := r.known
	for m, err := range v.box.Messages(ctx, r.since) {
		if err != nil {
			return err
		}
		for len(known) > 0 && known[0].Stop < uint32(m.UID) {
			known = known[1:]
		}
		if r.known != nil && (len(known) == 0 || known[0].Start > uint32(m.UID)) {
			continue
		}
		if i, ok := v.find(m.UID); ok {
			s.tellFetchFlags(v, i)
		}
	}
	return nil
}
