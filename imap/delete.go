package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

type deleteRequest struct{ name string }

// parseDelete reads DELETE (RFC 9051 §6.3.5).
func parseDelete(p *parser) request {
	p.space()
	return &deleteRequest{p.mailbox()}
}

func (r *deleteRequest) run(ctx context.Context, s *session) (result, error) {
	if r.name == "" {
		return result{}, storage.ErrNoMailbox
	}
	if err := s.account.Delete(ctx, r.name); err != nil {
		return result{}, err
	}
	if s.view != nil && s.view.name == r.name {
		s.unselect()
	}
	return result{}, nil
}
