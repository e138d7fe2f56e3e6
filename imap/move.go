package imap

import "context"

type moveRequest struct{ copyRequest }

// moveParser reads MOVE and UID MOVE (RFC 9051 §6.4.8, RFC 6851).
func moveParser(kind numKind) func(*parser) request {
	return func(p *parser) request { return &moveRequest{parseCopy(p, kind)} }
}

// run sends COPYUID before the EXPUNGEs, which are told by the updates that
// follow the command (RFC 6851 §4.3).
func (r *moveRequest) run(ctx context.Context, s *session) (result, error) {
	if s.view.readOnly {
		return result{}, errReadOnly
	}
	uids, err := r.uids(s)
	if err != nil || len(uids) == 0 {
		return result{}, err
	}
	c, err := s.view.box.Move(ctx, uids, r.dest)
	if err != nil {
		return result{}, toDestination(err)
	}
	s.dirty.Store(true)
	if code := copyUID(c); code != "" {
		s.out.status("*", "OK", code, "Moved")
	}
	return result{}, nil
}
