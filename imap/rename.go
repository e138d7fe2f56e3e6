package imap

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

var errElsewhere = no(imap.ResponseCodeCannot, "A mailbox can't be renamed into another account")

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
	from, err := s.place(ctx, r.from, storage.RightDeleteMailbox)
	if err != nil {
		return result{}, err
	}
	if err := creatable(r.to); err != nil {
		return result{}, err
	}
	to, err := s.newPlace(ctx, r.to)
	switch {
	case err != nil:
		return result{}, err
	case from.owner != to.owner:
		return result{}, errElsewhere
	}
	if err := from.account.Rename(ctx, from.name, to.name); err != nil {
		return result{}, err
	}
	if v := s.view; v != nil && from.name != storage.Inbox { // which stays
		v.name = renamed(v.name, from.full, to.full)
	}
	s.dirty.Store(true)
	if from.name == storage.Inbox {
		return result{}, nil
	}
	return result{}, s.tellRenamed(ctx, from.full, to.full)
}

// renamed returns what a mailbox is called after a renaming.
func renamed(name, from, to string) string {
	if name == from {
		return to
	}
	if below, ok := strings.CutPrefix(name, from+storage.Separator); ok {
		return to + storage.Separator + below
	}
	return name
}
