package imap

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/storage"
)

// parseClose reads CLOSE (RFC 9051 §6.4.1): it expunges without a word.
func parseClose(*parser) request {
	return requestFunc(func(ctx context.Context, s *session) (result, error) {
		if err := s.view.empty(ctx); err != nil && !errors.Is(err, storage.ErrNoMailbox) {
			return result{}, err
		}
		s.unselect()
		return result{}, nil
	})
}

// empty expunges what is marked for deletion. Marks that others set or took
// away meanwhile count; nobody is told of anything: the view is at its end.
func (v *view) empty(ctx context.Context) error {
	if v.need(storage.RightExpunge) != nil { // RFC 4314 §4: no error
		return nil
	}
	if _, err := v.refresh(ctx, allUpdates); err != nil {
		return err
	}
	doomed := v.deleted(v.all())
	if len(doomed) == 0 {
		return nil
	}
	_, err := v.box.Expunge(ctx, doomed)
	return err
}

// parseUnselect reads UNSELECT (RFC 9051 §6.4.2).
func parseUnselect(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		s.unselect()
		return result{}, nil
	})
}
