package imap

import (
	"context"
	"math"
	"strconv"
)

// useModSeqs makes the client one that knows of mod-sequences: from here on
// every FETCH response that tells of a change has MODSEQ (RFC 7162 §3.1).
// Many commands do this besides ENABLE, and some while a mailbox is selected:
// then the client learns from which mod-sequence on it is told.
func (s *session) useModSeqs() {
	if s.enabled(condstore) {
		return
	}
	s.extensions |= condstore
	if s.view != nil {
		s.tellHighestModSeq(s.view.told())
	}
}

// modSeq reads a mod-sequence-value (RFC 7162 §7): 63 bits, not zero.
func (p *parser) modSeq() uint64 {
	n := p.modSeqOrZero()
	if n == 0 {
		p.fail("Mod-sequence must not be zero")
	}
	return n
}

// modSeqOrZero reads a mod-sequence-valzer.
func (p *parser) modSeqOrZero() uint64 { return p.number(math.MaxInt64) }

// told is the mod-sequence up to which the view, and so the client, knows of
// every change of the mailbox.
func (v *view) told() uint64 { return min(v.changed, v.expunged) }

// ahead reports whether the client was sent a mod-sequence above those up to
// which it knows everything.
func (s *session) ahead() bool { return s.enabled(condstore) && s.heard > s.view.told() }

// holdBack keeps a client from believing that it knows everything up to the
// highest MODSEQ it was sent while there are expunges before that which can't
// be told yet, because sequence numbers are in use: if it came back later with
// that mod-sequence it would never hear of them.
func (s *session) holdBack() {
	if s.view.owed && s.ahead() {
		s.tellHighestModSeq(s.view.told())
	}
}

// tellHighestModSeq sends HIGHESTMODSEQ in a response of its own.
func (s *session) tellHighestModSeq(n uint64) {
	s.heard = n
	s.okNumber("HIGHESTMODSEQ", n, "Highest")
}

// highestModSeq puts HIGHESTMODSEQ into the answer of a command that expunged
// messages (RFC 7162 §3.2.7, §3.2.9). Where others did, and the client was told so,
// it is sent before the answer.
func (s *session) highestModSeq(reply result) result {
	vanished := s.vanished
	s.vanished = false
	if s.view == nil || !s.enabled(condstore) {
		return reply
	}
	n := s.view.told()
	switch {
	case reply.expunged && reply.code == "":
		reply.code = "HIGHESTMODSEQ " + strconv.FormatUint(n, 10)
		s.heard = n
	case vanished && n > s.heard:
		s.tellHighestModSeq(n)
	}
	return reply
}

// modSeqOf writes the MODSEQ item of a message.
func (s *session) modSeqOf(e *entry) {
	s.heard = max(s.heard, e.modseq)
	s.out.text("MODSEQ (")
	s.out.number(e.modseq)
	s.out.byte(')')
}

func writeModSeq(_ context.Context, m *fetching) error {
	m.s.modSeqOf(m.entry)
	return nil
}

// changedSince cuts spans down to the messages with a mod-sequence above since.
// It asks the store which these are, so that it need not look at all.
func (v *view) changedSince(ctx context.Context, spans []span, since uint64) (out []span, err error) {
	for m, err := range v.box.Messages(ctx, since) {
		if err != nil {
			return nil, err
		}
		i, ok := v.find(m.UID)
		for len(spans) > 0 && spans[0].to <= i {
			spans = spans[1:]
		}
		switch {
		case len(spans) == 0:
			return out, nil
		case !ok || i < spans[0].from || v.at(i).modseq <= since:
		case len(out) > 0 && out[len(out)-1].to == i:
			out[len(out)-1].to++
		default:
			out = append(out, span{i, i + 1})
		}
	}
	return out, nil
}

// modSeqKey reads the MODSEQ search key (RFC 7162 §3.1.5). All flags of a
// message share one mod-sequence, so the name of one changes nothing.
func modSeqKey(p *parser) key {
	p.space()
	if p.peek() == '"' {
		p.flagEntry()
	}
	want := p.modSeqOrZero()
	p.modSeqs = true
	return viewKey(func(c *candidate) bool { return c.entry.modseq >= want })
}

// flagEntry reads an entry-name and an entry-type-req.
func (p *parser) flagEntry() {
	const prefix = "/flags/"
	if name := p.string(); len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		p.fail("Unknown entry name")
	}
	p.space()
	switch p.word() {
	case "PRIV", "SHARED", "ALL":
	default:
		p.fail("Unknown entry type")
	}
	p.space()
}

// highest is the mod-sequence that goes with the result of a search (RFC 7162
// §3.1.5, RFC 4731 §3.2), 0 when none does.
func (r *searchRequest) highest(v *view, found []int) (n uint64) {
	if !r.modSeqs || len(found) == 0 {
		return 0
	}
	if r.extended && r.returns&(returnAll|returnCount) == 0 {
		first, last := found[0], found[len(found)-1]
		switch r.returns & (returnMin | returnMax) {
		case returnMin:
			found = []int{first}
		case returnMax:
			found = []int{last}
		case returnMin | returnMax:
			found = []int{first, last}
		}
	}
	for _, i := range found {
		n = max(n, v.at(i).modseq)
	}
	return n
}
