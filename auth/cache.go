package auth

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// CacheOptions adjust a Cache. The zero value of each field is a default.
type CacheOptions struct {
	TTL  time.Duration    // how long a success is remembered; default 5 minutes
	Size int              // successes that are remembered; default 100,000
	Now  func() time.Time // the clock; default time.Now
}

// Cache is an Authenticator that remembers the successes of another one, so
// that a hash which is slow on purpose is not computed at each login. A
// changed password is refused, and the old one stops working, after TTL at
// the latest, or at once when Forget is called. Failures are never remembered.
type Cache struct {
	next Authenticator
	o    CacheOptions
	key  [32]byte // of the process: what is kept tells nothing about passwords
	once singleflight.Group

	mu        sync.Mutex
	entries   map[[sha256.Size]byte]*list.Element // of *success
	order     *list.List                          // oldest first
	forgotten uint64                              // how often Forget was called
}

type success struct {
	digest [sha256.Size]byte
	id     Identity
	until  time.Time
}

// NewCache returns a Cache over next.
func NewCache(next Authenticator, o CacheOptions) *Cache {
	if o.TTL == 0 {
		o.TTL = 5 * time.Minute
	}
	if o.Size == 0 {
		o.Size = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache{next: next, o: o, entries: make(map[[sha256.Size]byte]*list.Element), order: list.New()}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// Unwrap returns the Authenticator that the cache asks.
func (c *Cache) Unwrap() Authenticator { return c.next }

// Authenticate returns a remembered success, or asks. Concurrent logins with
// the same credentials ask once.
func (c *Cache) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	digest := c.digest(creds)
	if id, ok := c.lookup(digest); ok {
		return id, nil
	}
	before := c.forgets()
	result := c.once.DoChan(string(digest[:]), func() (any, error) {
		// The first caller's context ends with its connection, the others' go on.
		id, err := c.next.Authenticate(context.WithoutCancel(ctx), creds)
		if err == nil {
			c.remember(digest, id, before)
		}
		return id, err
	})
	select {
	case r := <-result:
		id, _ := r.Val.(Identity)
		return id, r.Err
	case <-ctx.Done():
		return Identity{}, ctx.Err()
	}
}

// Forget drops what is remembered of a user, named as in Identity.
func (c *Cache) Forget(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++ // what is being asked at this moment must not be remembered
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if s := e.Value.(*success); s.id.User == user {
			c.drop(e)
		}
		e = next
	}
}

// digest is a keyed hash of what decides: each field with its length before it.
func (c *Cache) digest(creds Credentials) (d [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.key[:])
	secure := ""
	if creds.Secure {
		secure = "tls"
	}
	for _, s := range []string{creds.Service, secure, strings.ToLower(creds.User), creds.AuthzID, creds.Password} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Sum(d[:0])
	return d
}

func (c *Cache) lookup(digest [sha256.Size]byte) (Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[digest]
	if !ok {
		return Identity{}, false
	}
	s := e.Value.(*success)
	if !c.o.Now().Before(s.until) {
		c.drop(e)
		return Identity{}, false
	}
	return s.id, true
}

func (c *Cache) forgets() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten
}

// remember keeps a success, unless somebody was forgotten while it was asked for.
func (c *Cache) remember(digest [sha256.Size]byte, id Identity, before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != before {
		return
	}
	if e, ok := c.entries[digest]; ok {
		c.drop(e)
	}
	for len(c.entries) >= c.o.Size {
		c.drop(c.order.Front())
	}
	c.entries[digest] = c.order.PushBack(&success{digest, id, c.o.Now().Add(c.o.TTL)})
}

func (c *Cache) drop(e *list.Element) {
	delete(c.entries, e.Value.(*success).digest)
	c.order.Remove(e)
}
