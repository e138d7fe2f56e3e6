package memory

import (
	"context"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	_ storage.Sharer = (*Store)(nil)
	_ storage.Finder = (*Store)(nil)
)

// SharedWith returns the accounts that share something with identifiers.
func (s *Store) SharedWith(ctx context.Context, identifiers ...string) (users []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	for user, a := range s.accounts {
		if a.sharesWith(identifiers) {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users, nil
}

func (a *account) sharesWith(identifiers []string) bool {
	shares := func(list storage.ACL) bool {
		return slices.ContainsFunc(list, func(e storage.ACE) bool { return e.Shares() && slices.Contains(identifiers, e.Identifier) })
	}
	if shares(a.acl) {
		return true
	}
	for _, m := range a.boxes {
		if shares(m.acl) {
			return true
		}
	}
	return false
}

// Find returns an account that is there.
func (s *Store) Find(ctx context.Context, user string) (storage.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if a := s.accounts[user]; a != nil {
		return a, nil
	}
	return nil, storage.ErrNoMailbox
}
