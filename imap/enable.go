package imap

import "context"

type enableRequest struct{ rev2 bool }

// parseEnable reads ENABLE (RFC 9051 §6.3.1). What can't be enabled is passed
// over.
func parseEnable(p *parser) request {
	r := &enableRequest{}
	for more := true; more && p.err == nil; more = p.more() {
		p.space()
		if p.word() == "IMAP4REV2" {
			r.rev2 = true
		}
	}
	return r
}

func (r *enableRequest) run(_ context.Context, s *session) (result, error) {
	s.out.text("* ENABLED")
	if r.rev2 && !s.rev2 {
		s.rev2, s.out.utf8 = true, true
		s.out.text(" IMAP4rev2")
	}
	s.out.end()
	return result{}, nil
}
