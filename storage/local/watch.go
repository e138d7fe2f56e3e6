package local

import (
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// watch is who wants to hear of changes. Calls are made with the lock held for
// reading: that is how stop can promise that none comes after it. The committer
// makes them, so they come one at a time and in the order of commits.
type watch struct {
	mu       sync.RWMutex
	accounts map[accountID]map[*watcher]struct{}
	all      map[*storeWatcher]struct{}
}

type watcher struct{ notify func(storage.Change) }

type storeWatcher struct {
	notify func(user string, c storage.Change)
}

func (w *watch) add(a accountID, notify func(storage.Change)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.accounts == nil {
		w.accounts = make(map[accountID]map[*watcher]struct{})
	}
	if w.accounts[a] == nil {
		w.accounts[a] = make(map[*watcher]struct{})
	}
	x := &watcher{notify}
	w.accounts[a][x] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.accounts[a], x)
		if len(w.accounts[a]) == 0 {
			delete(w.accounts, a)
		}
	}
}

// WatchAll calls notify after every change of any account.
func (s *Store) WatchAll(notify func(user string, c storage.Change)) (stop func()) {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[*storeWatcher]struct{})
	}
	x := &storeWatcher{notify}
	w.all[x] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, x)
	}
}

// tell tells of what an op did.
func (w *watch) tell(o *op) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.accounts) == 0 && len(w.all) == 0 {
		return
	}
	for _, t := range o.trees {
		w.note(t, storage.Change{})
	}
	for _, c := range o.boxes {
		note := storage.Change{Mailbox: c.id, ModSeq: c.after.modSeq}
		switch {
		case c.gone:
			note.ModSeq = 0
		case note.ModSeq == 1: // it was just made, which the list tells
			continue
		}
		w.note(tree{c.owner, c.after.account}, note)
	}
}

// note tells those who watch an account, and those who watch all.
func (w *watch) note(t tree, c storage.Change) {
	for x := range w.accounts[t.id] {
		x.notify(c)
	}
	for x := range w.all {
		x.notify(t.user, c)
	}
}
