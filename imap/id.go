package imap

import (
	"context"
	"maps"
	"slices"
)

// Bounds of a client's ID (RFC 2971 §3.3).
const (
	maxIDFields = 30
	maxIDValue  = 1024
)

// idField is a pair of ID (RFC 2971).
type idField struct {
	name, value string
	null        bool // the value is NIL
}

// idRequest is what the client says of itself, or a front end of its client. A
// Server uses the latter alone.
type idRequest struct{ fields []idField }

// parseID reads ID (RFC 2971).
func parseID(p *parser) request {
	r := &idRequest{}
	p.space()
	if p.peek() != '(' {
		if _, ok := p.nstring(); ok {
			p.fail("Missing list")
		}
		return r
	}
	p.list(func() {
		f := idField{name: p.string()}
		p.space()
		value, ok := p.nstring()
		f.value, f.null = value, !ok
		if r.fields = append(r.fields, f); len(r.fields) > maxIDFields || len(f.name) > maxIDFields || len(value) > maxIDValue {
			p.fail("Too much in ID")
		}
	})
	return r
}

func (r *idRequest) run(ctx context.Context, s *session) (result, error) {
	if err := s.hear(ctx, r.fields); err != nil {
		return result{}, err
	}
	if s.server == nil {
		s.clientID = r.fields // at most 16 KiB, until login
	}
	o := &s.out
	o.text("* ID ")
	if len(s.gate.id) == 0 {
		o.text("NIL")
	} else {
		sep := byte('(')
		for _, name := range slices.Sorted(maps.Keys(s.gate.id)) {
			o.byte(sep)
			o.string(name)
			o.byte(' ')
			o.string(s.gate.id[name])
			sep = ' '
		}
		o.byte(')')
	}
	o.end()
	return result{}, nil
}
