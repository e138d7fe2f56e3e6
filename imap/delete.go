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
	p, err := s.place(ctx, r.name, storage.RightDeleteMailbox)
	if err != nil {
		return result{}, err
	}
	if err := p.account.Delete(ctx, p.name); err != nil {
		return result{}, err
	}
	if s.view != nil && s.view.name == p.full {
		s.unselect()
	}
	return result{}, nil
}
