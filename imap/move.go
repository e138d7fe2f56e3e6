package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

type moveRequest struct{ copyRequest }

// moveParser reads MOVE and UID MOVE (RFC 9051 §6.4.8, RFC 6851).
func moveParser(kind numKind) func(*parser) request {
	return func(p *parser) request { return &moveRequest{parseCopy(p, kind)} }
}

// run sends COPYUID before the EXPUNGEs, which are told by the updates that
// follow the command (RFC 6851 §4.3).
func (r *moveRequest) run(ctx context.Context, s *session) (result, error) {
	if err := s.view.need(moveRights); err != nil {
		return result{}, err
	}
	spans, err := r.spans(s)
	if err != nil || len(spans) == 0 {
		return result{}, err
	}
	spans, lowest := s.limitMessages(spans)
	dest, err := s.place(ctx, r.dest, storage.RightInsert)
	if err != nil {
		return result{}, toDestination(err)
	}
	var c storage.Copied
	s.patiently(func() { c, err = s.moveTo(ctx, s.view.uidSet(spans), &dest) })
	if err != nil {
		return result{}, toDestination(err)
	}
	s.dirty.Store(true)
	if code := copyUID(c); code != "" {
		s.out.status("*", "OK", code, "Moved")
	}
	return result{expunged: len(c.Source) > 0, lowest: lowest}, nil
}
