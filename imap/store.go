package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

type storeRequest struct {
	set    numSet
	kind   numKind
	op     imap.StoreFlagsOp
	silent bool
	flags  storage.Flags

	conditional bool   // only messages that did not change after a mod-sequence (RFC 7162 §3.1.3)
	unchanged   uint64 // that mod-sequence
}

// storeItems are the data items of STORE (RFC 9051 §6.4.6).
var storeItems = map[string]storeRequest{
	"FLAGS":         {op: imap.StoreFlagsSet},
	"FLAGS.SILENT":  {op: imap.StoreFlagsSet, silent: true},
	"+FLAGS":        {op: imap.StoreFlagsAdd},
	"+FLAGS.SILENT": {op: imap.StoreFlagsAdd, silent: true},
	"-FLAGS":        {op: imap.StoreFlagsDel},
	"-FLAGS.SILENT": {op: imap.StoreFlagsDel, silent: true},
}

// storeParser reads STORE and UID STORE.
func storeParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		p.space()
		set := p.numSet()
		p.space()
		var modifiers storeRequest
		if p.peek() == '(' {
			p.storeModifiers(&modifiers)
		}
		r, ok := storeItems[p.word()]
		if !ok {
			p.fail("Unknown STORE item")
		}
		r.set, r.kind = set, kind
		r.conditional, r.unchanged = modifiers.conditional, modifiers.unchanged
		p.space()
		r.flags = p.flags()
		return &r
	}
}

// flags reads a list of flags, with or without parentheses.
func (p *parser) flags() storage.Flags {
	var names []imap.Flag
	switch {
	case p.peek() == '(':
		p.list(func() { names = append(names, p.flag()) })
	default:
		names = append(names, p.flag())
		for p.accept(' ') {
			names = append(names, p.flag())
		}
	}
	return storage.NewFlags(names...)
}

func (p *parser) flag() imap.Flag {
	if p.accept('\\') {
		return imap.Flag(`\` + p.atom())
	}
	return imap.Flag(p.atom())
}

func (r *storeRequest) run(ctx context.Context, s *session) (result, error) {
	v := s.view
	if r.conditional {
		s.useModSeqs()
	}
	if err := v.need(0); err != nil {
		return result{}, err
	}
	spans, err := v.spans(r.set, r.kind)
	if err != nil || len(spans) == 0 {
		return result{}, err
	}
	spans, lowest := s.limitMessages(spans)
	changed, failed, err := r.store(ctx, v, spans)
	if err != nil {
		return result{}, err
	}
	surprises, err := s.takeOver(ctx, changed, r.op, r.flags)
	if err != nil {
		return result{}, err
	}
	if r.silent && !s.enabled(condstore) {
		for _, i := range surprises {
			s.tellFetchFlags(v, i)
		}
		return result{lowest: lowest}, nil
	}
	for _, p := range minus(spans, v.spansOfSet(failed)) {
		for i := p.from; i < p.to; i++ {
			surprise := len(surprises) > 0 && surprises[0] == i
			if surprise {
				surprises = surprises[1:]
			}
			r.tell(s, i, surprise)
		}
	}
	reply := r.modified(v, failed)
	reply.lowest = lowest
	return reply, nil
}

// store changes flags. Every message has changed since mod-sequence 0, so
// nothing is done then (RFC 7162 §3.1.3).
func (r *storeRequest) store(ctx context.Context, v *view, spans []span) ([]storage.Message, imap.UIDSet, error) {
	if r.conditional && r.unchanged == 0 {
		return nil, v.uidsWhere(spans, func(*entry) bool { return true }), nil
	}
	return v.storeFlags(ctx, spans, storage.FlagUpdate{
		UIDs: v.uidSet(spans), Op: r.op, Flags: r.flags, UnchangedSince: r.unchanged,
	})
}

// tell sends what one message has now: the flags, unless the client can tell
// them itself, and the mod-sequence if it knows of these.
func (r *storeRequest) tell(s *session, i int, surprise bool) {
	if surprise || r.kind == byUID && !r.silent {
		s.tellFetchFlags(s.view, i)
		return
	}
	o, e := &s.out, s.view.at(i)
	s.beginFetch(s.view, i)
	if s.tellsUID() || r.kind == byUID && !s.enabled(uidOnly) {
		o.text("UID ")
		o.number(uint64(e.uid))
		o.byte(' ')
	}
	if !r.silent {
		o.text("FLAGS (")
		o.flags(s.view, e)
		o.byte(')')
	}
	if s.enabled(condstore) {
		if !r.silent {
			o.byte(' ')
		}
		s.modSeqOf(e)
	}
	o.byte(')')
	o.end()
}

// takeOver brings the outcome of a STORE into the view, with what else came
// into the mailbox meanwhile, which it tells. It returns the indexes of
// messages whose flags are not what the client must expect from what it knew,
// because somebody else changed them too.
func (s *session) takeOver(ctx context.Context, stored []storage.Message, op imap.StoreFlagsOp, flags storage.Flags) (surprises []int, err error) {
	v := s.view
	known := v.reader
	n, err := v.refresh(ctx, allButExpunge)
	others := n.changed[:0]
	for _, c := range n.changed {
		e := v.at(c.i)
		for len(stored) > 0 && stored[0].UID < e.uid {
			stored = stored[1:]
		}
		if len(stored) == 0 || stored[0].UID != e.uid {
			others = append(others, c)
			continue
		}
		expected := known.flags(known.at(c.i)).Apply(op, flags) // no index has moved
		if !expected.Equal(v.flags(e)) {
			surprises = append(surprises, c.i)
		}
	}
	n.changed = others
	s.tell(ctx, v, n)
	if len(s.contexts) > 0 {
		s.dirty.Store(true) // their results may have changed
	}
	return surprises, s.untold(err)
}
