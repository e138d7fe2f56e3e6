package local

import (
	"container/list"
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// held is what accounts hold, those that have a bound and are in use. It is
// added up once from the states of their mailboxes, outside of the changes,
// and then follows every change that is built, undone and made.
type held struct {
	most    int               // accounts
	reached func(user string) // hears of accounts that may have come to another threshold; nil: nobody does

	mu      sync.Mutex
	entries map[accountID]*holding
	recent  list.List // of *holding, the one used last in front
}

// holding is what one account holds: base, made and, for the committer, built.
type holding struct {
	tree
	base    storage.Quota // as the index stood when the entry was made
	made    storage.Quota // what changes have added since
	built   storage.Quota // what changes add that are not durable yet
	known   bool          // base is
	loaded  chan struct{} // closed when base is known, or when it will not be
	pins    int
	element *list.Element

	limit      storage.Quota // as the last change found it
	thresholds []int
	silent     int // as in the account's record
}

func newHeld(most int) *held { return &held{most: most, entries: make(map[accountID]*holding)} }

// gain is what a change of a mailbox adds to what its account holds.
func gain(before, after *state) storage.Quota {
	return storage.Quota{Bytes: after.size - before.size, Messages: int64(after.messages) - int64(before.messages)}
}

// loss is the gain of deleting a mailbox.
func loss(st *state) storage.Quota { return negative(holds(st)) }

// holds is what a mailbox holds.
func holds(st *state) storage.Quota {
	return storage.Quota{Bytes: st.size, Messages: int64(st.messages), Mailboxes: 1}
}

func negative(q storage.Quota) storage.Quota {
	return storage.Quota{Bytes: -q.Bytes, Messages: -q.Messages, Mailboxes: -q.Mailboxes}
}

// built is told of a change of a mailbox that is being built.
func (h *held) built(c *boxChange) {
	if c.gain == (storage.Quota{}) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entries[c.after.account]; e != nil {
		e.built = e.built.Plus(c.gain)
	}
}

// undone is told of changes that are not made.
func (h *held) undone(o *op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) == 0 {
		return
	}
	for _, c := range o.boxes {
		if e := h.entries[c.after.account]; e != nil {
			e.built = e.built.Plus(negative(c.gain))
		}
	}
}

// made is told of changes that are durable.
func (h *held) made(o *op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) == 0 {
		return
	}
	for _, c := range o.boxes {
		if e := h.entries[c.after.account]; e != nil && c.gain != (storage.Quota{}) {
			e.built = e.built.Plus(negative(c.gain))
			e.made = e.made.Plus(c.gain)
			h.watch(e)
		}
	}
}

// watch tells when an account has come to another threshold than it was at.
func (h *held) watch(e *holding) {
	if h.reached == nil || !e.known || len(e.thresholds) == 0 {
		return
	}
	s := storage.Settings{Thresholds: e.thresholds}
	if s.Reached(e.limit.Percent(e.base.Plus(e.made))) != e.silent {
		h.reached(e.user)
	}
}

// silence keeps up to which threshold an account is silent now.
func (h *held) silence(id accountID, threshold uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entries[id]; e != nil {
		e.silent = int(threshold)
	}
}

// building returns what an account holds with all changes built so far. When
// that is not known, ok is false, and e is the entry that is being made, which
// is pinned, or nil.
func (h *held) building(id accountID, limit storage.Quota, thresholds []int) (used storage.Quota, e *holding, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e = h.entries[id]; e == nil {
		return used, nil, false
	}
	h.recent.MoveToFront(e.element)
	e.limit, e.thresholds = limit, thresholds
	if !e.known {
		e.pins++
	}
	return e.base.Plus(e.made).Plus(e.built), e, e.known
}

// durable returns what an account holds on disk. ok is false when it is not
// kept in memory.
func (h *held) durable(id accountID) (used storage.Quota, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[id]
	if e == nil || !e.known {
		return used, false
	}
	return e.base.Plus(e.made), true
}

// add puts in an entry that the committer has made.
func (h *held) add(e *holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.element = h.recent.PushFront(e)
	h.entries[e.id] = e
	h.shrink()
}

// shrink forgets entries that nobody has used for the longest time.
func (h *held) shrink() {
	for at := h.recent.Back(); at != nil && len(h.entries) > h.most; {
		e := at.Value.(*holding)
		at = at.Prev()
		if e.pins == 0 {
			h.drop(e)
		}
	}
}

func (h *held) drop(e *holding) {
	if h.entries[e.id] == e {
		delete(h.entries, e.id)
		h.recent.Remove(e.element)
	}
}

func (h *held) unpin(list []*holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range list {
		e.pins--
	}
	h.shrink()
}

// fill completes an entry; with an error it is forgotten.
func (h *held) fill(e *holding, base storage.Quota, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(e.loaded)
	if err != nil {
		h.drop(e)
		return
	}
	e.base, e.known = base, true
	h.watch(e)
}

// all returns what every account holds on disk that is kept in memory.
func (h *held) all() map[tree]storage.Quota {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := make(map[tree]storage.Quota, len(h.entries))
	for _, e := range h.entries {
		if e.known {
			m[e.tree] = e.base.Plus(e.made)
		}
	}
	return m
}
