package mapping

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// A Cache is cut into shards, so that processors seldom wait for each other.
const (
	maxShards = 64
	minShard  = 1024 // users: a small cache has fewer shards
)

// shard is a part of the users.
type shard struct {
	mu      sync.Mutex
	routes  *lru.Map[string, entry] // of users with a route
	others  *lru.Map[string, entry] // of users without one
	flights map[string]*flight      // questions whose answers are to be remembered
}

// entry is an answer. Times are since the cache was made.
type entry struct {
	route Route
	err   error         // of kind ErrNotMapped or ErrUnavailable; nil: there is a route
	at    time.Duration // when the source gave it
	until time.Duration // before which the source is not asked again
}

func (s *shard) init(size int) {
	s.routes = lru.New[string, entry](size)
	s.others = lru.New[string, entry]((size + 7) / 8)
	s.flights = make(map[string]*flight)
}

// get returns what is remembered of a user.
func (s *shard) get(name string) (entry, bool) {
	if e, ok := s.routes.Get(name); ok {
		return e, true
	}
	return s.others.Get(name)
}

// forget drops a user, and with him what is being asked of him.
func (s *shard) forget(name string) {
	s.routes.Remove(name)
	s.others.Remove(name)
	delete(s.flights, name)
}

// remember keeps an answer.
func (c *Cache) remember(s *shard, name string, r Route, err error) {
	now := c.now()
	switch {
	case err == nil:
		s.others.Remove(name)
		s.put(s.routes, name, entry{route: own(r), at: now, until: now + c.o.TTL})
	case errors.Is(err, ErrNotMapped):
		s.routes.Remove(name)
		s.put(s.others, name, entry{err: ErrNotMapped, at: now, until: now + c.o.Negative})
	default:
		if e, ok := s.routes.Get(name); ok && c.serves(&e, now) {
			e.until = max(e.until, min(now+c.o.Temporary, e.at+c.o.TTL+c.o.Stale))
			s.routes.Put(name, e)
			return
		}
		s.routes.Remove(name)
		s.put(s.others, name, entry{err: err, at: now, until: now + c.o.Temporary})
	}
}

// put keeps the name in memory of its own: the caller's may be part of much more.
func (s *shard) put(m *lru.Map[string, entry], name string, e entry) {
	if _, ok := m.Get(name); !ok {
		name = strings.Clone(name)
	}
	m.Put(name, e)
}

// own returns a route in memory of its own.
func own(r Route) Route {
	r.Host, r.User = strings.Clone(r.Host), strings.Clone(r.User)
	return r
}
