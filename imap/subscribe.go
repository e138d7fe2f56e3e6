package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// parseSubscribe reads SUBSCRIBE (RFC 9051 §6.3.7). Others' mailboxes must be
// there and visible; their names are kept with one's own.
func parseSubscribe(p *parser) request {
	p.space()
	name := p.mailbox()
	return requestFunc(func(ctx context.Context, s *session) (result, error) {
		if name == "" {
			return result{}, errName
		}
		p, err := s.place(ctx, name, storage.RightLookup)
		if err != nil {
			return result{}, err
		}
		return result{}, s.account.Subscribe(ctx, p.full)
	})
}

// parseUnsubscribe reads UNSUBSCRIBE (RFC 9051 §6.3.8).
func parseUnsubscribe(p *parser) request {
	p.space()
	name := p.mailbox()
	return requestFunc(func(ctx context.Context, s *session) (result, error) {
		if name == "" {
			return result{}, storage.ErrNoMailbox
		}
		return result{}, s.account.Unsubscribe(ctx, s.locate(name).full)
	})
}
