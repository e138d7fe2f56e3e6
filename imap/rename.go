package imap

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

type renameRequest struct{ from, to string }

// parseRename reads RENAME (RFC 9051 §6.3.6).
func parseRename(p *parser) request {
	p.space()
	r := &renameRequest{from: p.mailbox()}
	p.space()
	r.to = p.decodeName(strings.TrimSuffix(p.astring(), storage.Separator))
	return r
}

func (r *renameRequest) run(ctx context.Context, s *session) (result, error) {
	if r.from == "" {
		return result{}, storage.ErrNoMailbox
	}
	if err := creatable(r.to); err != nil {
		return result{}, err
	}
	if err := s.account.Rename(ctx, r.from, r.to); err != nil {
		return result{}, err
	}
	if v := s.view; v != nil {
		v.name = renamed(v.name, r.from, r.to)
	}
	s.dirty.Store(true)
	return result{}, s.tellRenamed(ctx, r.from, r.to)
}

// renamed returns what a mailbox is called after a renaming. INBOX stays.
func renamed(name, from, to string) string {
	if from == storage.Inbox {
		return name
	}
	if name == from {
		return to
	}
	if below, ok := strings.CutPrefix(name, from+storage.Separator); ok {
		return to + storage.Separator + below
	}
	return name
}
