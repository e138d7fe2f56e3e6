package auth

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// CacheOptions adjust a Cache. A zero field means its default.
type CacheOptions struct {
	TTL  time.Duration // how long a success is remembered; default 5 minutes
	Size int           // successes, and names, that are remembered; default 100,000, some 300 octets each
}

// Cache is an Authenticator that remembers the successes of another one, so
// that a hash which is slow on purpose is not computed at each login, and who
// has just logged in can do so again while a directory is down. A password
// that was changed elsewhere is good for TTL more at the longest, however
// often it is used, and a call of Forget ends it at once. Failures are never
// remembered.
//
// A success is good for the same user, password and authorization identity,
// from the same address, in the same service and as securely connected: what
// else an Authenticator decides by it decides once in TTL. A Proof that is not
// a password is always asked about.
//
// Passwords are not kept, but a hash of them under a key that is made at
// random for each Cache. A remembered success takes less than a microsecond
// and no memory. The clock is the system's.
type Cache struct {
	next      Authenticator
	o         CacheOptions
	digests   digester
	asking    singleflight.Group
	shards    []cacheShard  // by the first octet of the digest
	forgotten atomic.Uint64 // how often Forget was called
	names     nameCache
}

type success struct {
	id    Identity
	until time.Time
}

// NewCache returns a Cache over next.
func NewCache(next Authenticator, o CacheOptions) *Cache {
	o.TTL = orDefault(o.TTL, 5*time.Minute)
	o.Size = orDefault(o.Size, 100_000)
	c := &Cache{next: next, o: o, shards: newCacheShards(o.Size)}
	c.names.byLogin = lru.New[string, named](o.Size)
	_, _ = rand.Read(c.digests.key[:]) // never fails
	return c
}

// Unwrap returns the Authenticator that the cache asks.
func (c *Cache) Unwrap() Authenticator { return c.next }

// Authenticate returns a remembered success, or asks. Concurrent logins with
// the same credentials ask once.
func (c *Cache) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	if creds.Proof != nil { // checked by who knows more than a password
		return c.next.Authenticate(ctx, creds)
	}
	forgotten := c.forgotten.Load()
	d := c.digests.of(&creds)
	if id, ok := c.shard(d).lookup(d); ok {
		return id, nil
	}
	return c.join(ctx, creds, d, forgotten)
}

// join asks, together with who asks the same at this moment.
func (c *Cache) join(ctx context.Context, creds Credentials, d digest, forgotten uint64) (Identity, error) {
	// Who comes after Forget must not get an answer that was asked for before.
	question := string(binary.BigEndian.AppendUint64(d[:], forgotten))
	asked := c.asking.DoChan(question, func() (any, error) {
		return c.ask(ctx, creds, d, forgotten)
	})
	select {
	case r := <-asked:
		id, _ := r.Val.(Identity)
		return id, r.Err
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// ask asks for all who wait. It runs in a goroutine of its own, where nobody
// else would recover.
func (c *Cache) ask(ctx context.Context, creds Credentials, d digest, forgotten uint64) (id Identity, err error) {
	defer func() {
		if v := recover(); v != nil {
			id, err = Identity{}, fmt.Errorf("%w: panic: %v", ErrUnavailable, v)
		}
	}()
	// The first caller's context ends with his connection, the others' go on.
	if id, err = c.next.Authenticate(context.WithoutCancel(ctx), creds); err != nil {
		return Identity{}, err
	}
	c.remember(d, id, forgotten)
	return id, nil
}

// remember keeps a success, unless somebody was forgotten since it was asked for.
func (c *Cache) remember(d digest, id Identity, forgotten uint64) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.forgotten.Load() == forgotten {
		s.successes.Put(d, success{id, time.Now().Add(c.o.TTL)})
	}
}

// Forget drops what is remembered of a user, named as in Identity. Call it
// when his password, or anything else about him, has changed.
func (c *Cache) Forget(user string) {
	c.forgotten.Add(1) // what is being asked at this moment must not be remembered
	for i := range c.shards {
		c.shards[i].forget(user)
	}
	c.names.forget(user)
}

// ForgetAll drops everything that is remembered. Call it when anything may
// have changed.
func (c *Cache) ForgetAll() {
	c.forgotten.Add(1)
	for i := range c.shards {
		c.shards[i].forgetAll()
	}
	c.names.forgetAll()
}

func (c *Cache) shard(d digest) *cacheShard { return &c.shards[int(d[0])%len(c.shards)] }
