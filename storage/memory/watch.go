package memory

import "github.com/posthouse-mail/posthouse/storage"

// storeWatcher is who wants to hear of the changes of all accounts.
type storeWatcher struct {
	notify func(user string, c storage.Change)
}

// WatchAll calls notify after every change of any account, as Watch does.
func (s *Store) WatchAll(notify func(user string, c storage.Change)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &storeWatcher{notify}
	s.watchers[w] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}
}
