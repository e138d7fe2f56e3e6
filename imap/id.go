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

// parseID reads ID (RFC 2971). What the client says of itself is not used.
func parseID(p *parser) request {
	p.space()
	if p.peek() != '(' {
		if _, ok := p.nstring(); ok {
			p.fail("Missing list")
		}
		return requestFunc(runID)
	}
	fields := 0
	p.list(func() {
		name := p.string()
		p.space()
		value, _ := p.nstring()
		if fields++; fields > maxIDFields || len(name) > maxIDFields || len(value) > maxIDValue {
			p.fail("Too much in ID")
		}
	})
	return requestFunc(runID)
}

func runID(_ context.Context, s *session) (result, error) {
	o := &s.out
	o.text("* ID ")
	if len(s.server.ID) == 0 {
		o.text("NIL")
	} else {
		sep := byte('(')
		for _, name := range slices.Sorted(maps.Keys(s.server.ID)) {
			o.byte(sep)
			o.string(name)
			o.byte(' ')
			o.string(s.server.ID[name])
			sep = ' '
		}
		o.byte(')')
	}
	o.end()
	return result{}, nil
}
