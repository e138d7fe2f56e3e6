package local

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// frozen is the accounts that nobody may change. The committer alone changes
// it, when it builds the change that says so: whatever is built after that sees
// it, so that nothing is written behind a Freeze that has returned.
type frozen struct {
	mu    sync.RWMutex
	users map[string]struct{}
}

func (f *frozen) has(user string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.users[user]
	return ok
}

func (f *frozen) put(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == nil {
		f.users = make(map[string]struct{})
	}
	f.users[user] = struct{}{}
}

func (f *frozen) remove(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, user)
}

// loadFrozen reads which accounts are frozen.
func (s *Store) loadFrozen(ctx context.Context) error {
	return s.e.Scan(ctx, []byte{keyFrozen}, []byte{keyFrozen + 1}, func(k, _ []byte) error {
		s.frozen.put(string(k[1:]))
		return nil
	})
}

// thawed returns ErrFrozen when an account is frozen.
func (s *Store) thawed(user string) error {
	if s.frozen.has(user) {
		return storage.ErrFrozen
	}
	return nil
}

// Freeze refuses all changes of an account from here on.
func (s *Store) Freeze(ctx context.Context, user string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	froze := false
	c := s.change(nil, func(t tx) error {
		if _, err := t.grow(tree{user: user}); err != nil {
			return err
		}
		if s.frozen.has(user) {
			return errNothing
		}
		t.Set(frozenKey(user), binary.AppendVarint(nil, t.now()))
		s.frozen.put(user)
		froze = true
		return nil
	})
	undo := c.Undo
	c.Undo = func() {
		undo()
		if froze {
			s.frozen.remove(user)
		}
	}
	return failure(s.e.Commit(ctx, c))
}

// Thaw takes changes of an account again.
func (s *Store) Thaw(ctx context.Context, user string) error {
	return s.commit(ctx, nil, func(t tx) error {
		if !s.frozen.has(user) {
			return errNothing
		}
		t.thaw(user)
		return nil
	})
}

// thaw lets an account be changed when the change is made.
func (t tx) thaw(user string) {
	if t.s.frozen.has(user) {
		t.Delete(frozenKey(user))
		t.o.thawed = user
	}
}

// Frozen returns the accounts that are frozen, sorted.
func (s *Store) Frozen(ctx context.Context) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	s.frozen.mu.RLock()
	defer s.frozen.mu.RUnlock()
	users := make([]string, 0, len(s.frozen.users))
	for user := range s.frozen.users {
		users = append(users, user)
	}
	slices.Sort(users)
	return users, nil
}
