package mapping

import (
	"context"
	"errors"
	"iter"
	"time"
)

// EntryState says what a Cache knows of a user.
type EntryState int

// The states of an entry.
const (
	EntryFresh       EntryState = iota // a route that serves without a question
	EntryStale                         // a route that serves while the source is not available
	EntryNotMapped                     // the source does not know the user
	EntryUnavailable                   // the source was not available, and is not asked again yet
)

// String names the state.
func (s EntryState) String() string {
	switch s {
	case EntryFresh:
		return "fresh"
	case EntryStale:
		return "stale"
	case EntryNotMapped:
		return "not mapped"
	}
	return "unavailable"
}

// CacheEntry is what a Cache remembers of a user.
type CacheEntry struct {
	User  string        // in normal form
	Route Route         // of a user who is mapped
	Age   time.Duration // since the source said so
	State EntryState
}

// List yields what is remembered, in no order. Entries that serve no more are
// left out. Each shard, a 64th of a large cache, is copied at one moment, so
// lookups go on while the list is read.
func (c *Cache) List() iter.Seq[CacheEntry] {
	return func(yield func(CacheEntry) bool) {
		for i := range c.shards {
			for _, e := range c.entries(&c.shards[i]) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (c *Cache) entries(s *shard) []CacheEntry {
	now := c.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]CacheEntry, 0, s.routes.Len()+s.others.Len())
	for name, e := range s.routes.All() {
		state := EntryFresh
		if now >= e.at+c.o.TTL {
			state = EntryStale
		}
		if state == EntryFresh || c.serves(&e, now) {
			all = append(all, CacheEntry{name, e.route, now - e.at, state})
		}
	}
	for name, e := range s.others.All() {
		state := EntryUnavailable
		if errors.Is(e.err, ErrNotMapped) {
			state = EntryNotMapped
		}
		if now < e.until {
			all = append(all, CacheEntry{name, Route{}, now - e.at, state})
		}
	}
	return all
}

// Refresh asks the source about a user, whatever is remembered of him, and
// returns its answer. Until that comes, and when it is ErrUnavailable, what is
// remembered serves on.
func (c *Cache) Refresh(ctx context.Context, user string) (Route, error) {
	name, ok := NormalName(user)
	if !ok {
		return Route{}, ErrNotMapped
	}
	s := c.shard(name)
	s.mu.Lock()
	f := c.ask(ctx, s, name)
	f.waiting++
	s.mu.Unlock()
	return f.wait(ctx)
}

// Invalidate drops what is remembered of a user: his next lookup asks the
// source. What was asked before is not remembered, when its answer comes, and
// answers only those who wait for it already.
func (c *Cache) Invalidate(user string) {
	name, ok := NormalName(user)
	if !ok {
		return
	}
	s := c.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(name)
}

// InvalidateAll is Invalidate for everybody.
func (c *Cache) InvalidateAll() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.routes.Clear()
		s.others.Clear()
		clear(s.flights)
		s.mu.Unlock()
	}
}
