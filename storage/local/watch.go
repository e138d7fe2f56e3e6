package local

import (
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// watch is who wants to hear of changes. Calls are made with the lock held for
// reading: that is how stop can promise that none comes after it.
type watch struct {
	mu       sync.RWMutex
	accounts map[accountID]map[*watcher]struct{}
}

type watcher struct{ notify func(storage.Change) }

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

// tell tells of what an op did.
func (w *watch) tell(o *op) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.accounts) == 0 {
		return
	}
	for _, t := range o.trees {
		for x := range w.accounts[t.id] {
			x.notify(storage.Change{})
		}
	}
	for _, c := range o.boxes {
		note := storage.Change{Mailbox: c.id, ModSeq: c.after.modSeq}
		switch {
		case c.gone:
			note.ModSeq = 0
		case note.ModSeq == 1: // it was just made, which the list tells
			continue
		}
		for x := range w.accounts[c.after.account] {
			x.notify(note)
		}
	}
}
