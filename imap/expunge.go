package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/posthouse-mail/posthouse/storage"
)

type expungeRequest struct {
	uids numSet
	only bool // those of uids
}

// parseExpunge reads EXPUNGE (RFC 9051 §6.4.3).
func parseExpunge(*parser) request { return &expungeRequest{} }

// parseUIDExpunge reads UID EXPUNGE (RFC 9051 §6.4.9, RFC 4315 §2.1).
func parseUIDExpunge(p *parser) request {
	p.space()
	return &expungeRequest{uids: p.numSet(), only: true}
}

// run marks nothing itself: that the messages are gone is told by the updates
// that follow the command.
func (r *expungeRequest) run(ctx context.Context, s *session) (result, error) {
	v := s.view
	if err := v.need(storage.RightExpunge); err != nil {
		return result{}, err
	}
	spans := v.all()
	if r.only {
		var err error
		if spans, err = v.spans(r.uids, byUID); err != nil {
			return result{}, err
		}
	}
	doomed := v.deleted(spans)
	var lowest imap.UID
	if r.only {
		spans, lowest = s.limitMessages(v.spansOfSet(doomed))
		doomed = v.deleted(spans)
	}
	if len(doomed) == 0 {
		return result{}, nil
	}
	gone, err := v.box.Expunge(ctx, doomed)
	s.dirty.Store(true) // tell it even if the store's note is late
	return result{expunged: len(gone) > 0, lowest: lowest}, err
}
