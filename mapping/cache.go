package mapping

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"github.com/posthouse-mail/posthouse/internal/seldom"
)

// CacheOptions adjust a Cache. A zero field means its default; a negative
// time, other than Timeout, means none.
type CacheOptions struct {
	TTL       time.Duration // how long a route is remembered; default 10 minutes
	Negative  time.Duration // how long it is remembered that a user is not mapped; default 30 seconds
	Temporary time.Duration // how long the source is not asked again about a user for whom it was not available; default 2 seconds
	Stale     time.Duration // how long beyond TTL a route serves while the source is not available; default one hour
	Patience  time.Duration // how long a lookup waits for the source when it has such a route; default one second
	Timeout   time.Duration // of one question to the source; default 30 seconds
	Size      int           // users with a route who are remembered; default 1,000,000. Some 250 octets each; an eighth as many others are remembered besides

	Logger   *slog.Logger  // nil: slog.Default
	Interval time.Duration // between two log lines about a source that is not available; default one minute
}

func (o CacheOptions) withDefaults() CacheOptions {
	for _, d := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&o.TTL, 10 * time.Minute}, {&o.Negative, 30 * time.Second}, {&o.Temporary, 2 * time.Second}, {&o.Stale, time.Hour},
		{&o.Patience, time.Second},
	} {
		*d.field = max(orDefault(*d.field, d.def), 0)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	o.Size = orDefault(o.Size, 1_000_000)
	return o
}

// Cache is a Mapper that remembers the answers of another one, under the
// normal form of the user's name (NormalName): all spellings of a login are
// one entry, and the source is asked by that name.
//
// A route is remembered for TTL, "not mapped" for Negative, and for Temporary
// that the source was not available. While it is not, users whose route is
// remembered go on with it for Stale more, which is told in the log once an
// Interval; everybody else gets ErrUnavailable, also those who were not mapped
// when the source last spoke of them.
//
// Lookups of one user at the same time ask once. The question ends when
// nobody waits for it any more, and after Timeout; the end of one caller's
// context ends only his own waiting. Those who are not mapped have no room in
// common with those who are, so that made-up names push no route out.
//
// The clock is the system's.
type Cache struct {
	next   Mapper
	o      CacheOptions
	start  time.Time
	seed   maphash.Seed
	shards []shard
	alarm  *seldom.Logger
}

// NewCache returns a Cache over next.
func NewCache(next Mapper, o CacheOptions) *Cache {
	o = o.withDefaults()
	c := &Cache{next: next, o: o, start: time.Now(), seed: maphash.MakeSeed(), alarm: seldom.New(o.Logger, o.Interval)}
	c.shards = make([]shard, min(max(o.Size/minShard, 1), maxShards))
	for i := range c.shards {
		c.shards[i].init((o.Size + len(c.shards) - 1) / len(c.shards))
	}
	return c
}

// Unwrap returns the Mapper that the cache asks.
func (c *Cache) Unwrap() Mapper { return c.next }

// Map returns what is remembered, or asks.
func (c *Cache) Map(ctx context.Context, user string) (Route, error) {
	name, ok := NormalName(user)
	if !ok {
		return Route{}, ErrNotMapped
	}
	s, now := c.shard(name), c.now()
	s.mu.Lock()
	e, known := s.get(name)
	if known && now < e.until {
		s.mu.Unlock()
		return e.route, e.err
	}
	f := s.flights[name]
	if f == nil {
		f = c.ask(ctx, s, name)
	}
	f.waiting++
	s.mu.Unlock()
	if known && c.serves(&e, now) {
		return c.orRemembered(ctx, f, e.route)
	}
	return f.wait(ctx)
}

// orRemembered waits for an answer, but not for long, and not at all for one
// that the source can't give.
func (c *Cache) orRemembered(ctx context.Context, f *flight, old Route) (Route, error) {
	patience := time.NewTimer(c.o.Patience)
	defer patience.Stop()
	select {
	case <-f.done:
	case <-patience.C:
		f.goOn()
		c.tell(ctx, f.name, errSlow)
		return old, nil
	case <-ctx.Done():
	}
	r, err := f.wait(ctx)
	if err != nil && !errors.Is(err, ErrNotMapped) && ctx.Err() == nil {
		return old, nil
	}
	return r, err
}

var errSlow = fmt.Errorf("%w: it takes long to answer", ErrUnavailable)

// tell raises the alarm: what the source could not answer, once an interval.
func (c *Cache) tell(ctx context.Context, name string, err error) {
	c.alarm.Warn(ctx, "", "user map is not available, routes that are remembered serve on", "user", name, "err", err)
}

func (c *Cache) now() time.Duration { return time.Since(c.start) }

func (c *Cache) shard(name string) *shard {
	return &c.shards[maphash.String(c.seed, name)%uint64(len(c.shards))]
}

// serves reports whether an entry is a route that is good for now when the
// source can't be asked.
func (c *Cache) serves(e *entry, now time.Duration) bool {
	return e.err == nil && now < e.at+c.o.TTL+c.o.Stale
}

// orDefault returns v, or what zero means.
func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
