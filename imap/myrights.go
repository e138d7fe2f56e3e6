package imap

import (
	"context"
)

// parseMyRights reads MYRIGHTS (RFC 4314 §3.5).
func parseMyRights(p *parser) request {
	p.space()
	name := p.mailbox()
	return requestFunc(func(ctx context.Context, s *session) (result, error) {
		return result{}, s.tellMyRights(ctx, name)
	})
}

// tellMyRights sends MYRIGHTS (RFC 4314 §3.8).
func (s *session) tellMyRights(ctx context.Context, name string) error {
	p, err := s.place(ctx, name, 0)
	if err != nil {
		return err
	}
	if _, err := p.open(ctx); err != nil {
		return err
	}
	s.out.text("* MYRIGHTS ")
	s.out.mailbox(name)
	s.out.text(" " + p.rights.WithObsolete())
	s.out.end()
	return nil
}
