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
		r, ok := storeItems[p.word()]
		if !ok {
			p.fail("Unknown STORE item")
		}
		r.set, r.kind = set, kind
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
	if err := v.need(0); err != nil {
		return result{}, err
	}
	spans, err := v.spans(r.set, r.kind)
	if err != nil || len(spans) == 0 {
		return result{}, err
	}
	changed, _, err := v.storeFlags(ctx, spans, storage.FlagUpdate{UIDs: v.uidSet(spans), Op: r.op, Flags: r.flags})
	if err != nil {
		return result{}, err
	}
	surprises := s.takeOver(changed, r.op, r.flags)
	if r.silent {
		for _, i := range surprises {
			s.tellFetchFlags(v, i)
		}
		return result{}, nil
	}
	for _, p := range spans {
		for i := p.from; i < p.to; i++ {
			r.tell(s, i)
		}
	}
	return result{}, nil
}

// tell sends the flags of one message as they are now.
func (r *storeRequest) tell(s *session, i int) {
	if r.kind == byUID {
		s.tellFetchFlags(s.view, i)
		return
	}
	o := &s.out
	o.text("* ")
	o.number(uint64(i + 1))
	o.text(" FETCH (FLAGS (")
	o.flags(s.view, s.view.at(i))
	o.text("))")
	o.end()
}

// takeOver brings the outcome of a STORE into the view. It returns the
// indexes of messages whose flags are not what the client must expect from
// what it knew, because somebody else changed them too.
func (s *session) takeOver(changed []storage.Message, op imap.StoreFlagsOp, flags storage.Flags) (surprises []int) {
	var n news
	v, i := s.view, 0
	for _, m := range changed {
		for i < v.len() && v.at(i).uid < m.UID {
			i++
		}
		if i == v.len() {
			break
		}
		if v.at(i).uid != m.UID {
			continue
		}
		expected := v.flags(v.at(i)).Apply(op, flags)
		v.change(i, m, &n)
		if !expected.Equal(m.Flags) {
			surprises = append(surprises, i)
		}
	}
	if n.keyword {
		s.tellFlags(v)
	}
	return surprises
}
