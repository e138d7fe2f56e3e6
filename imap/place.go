package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// place is where a mailbox name of the protocol leads.
type place struct {
	account storage.Account // as clients see it
	name    string          // of the mailbox in that account
	rights  storage.Rights  // what the session's user may do there
}

// place returns where a name leads when the session's user has all of the
// rights in need there. A mailbox need not exist, but one that he may not even
// know of is storage.ErrNoMailbox, as a missing one is.
func (s *session) place(_ context.Context, name string, _ storage.Rights) (place, error) {
	if name == "" {
		return place{}, storage.ErrNoMailbox
	}
	return place{s.account, name, storage.AllRights}, nil
}

// mailbox opens a mailbox in which the session's user has all of the rights in
// need. The store sees no name that can't be one.
func (s *session) mailbox(ctx context.Context, name string, need storage.Rights) (storage.Mailbox, error) {
	p, err := s.place(ctx, name, need)
	if err != nil {
		return nil, err
	}
	return p.account.Mailbox(ctx, p.name)
}
