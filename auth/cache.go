package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// CacheOptions adjust a Cache. A zero field means its default.
type CacheOptions struct {
	TTL  time.Duration // how long a success is remembered; default 5 minutes
	Size int           // successes, and names, that are remembered; default 100,000, some 300 octets each
}

// Cache is an Authenticator that remembers the successes of another one, so
// that a hash which is slow on purpose is not computed at each login. A
// password that was changed elsewhere is good for TTL more at the longest,
// and a call of Forget ends it at once. Failures are never remembered.
//
// A Proof that is not a password is always asked about. A success is good for the same user, password and authorization identity,
// in the same service and as securely connected: what else an Authenticator
// decides by, as the client's address, it decides once in TTL.
//
// Passwords are not kept, but a hash of them under a key that is made at
// random for each Cache. The clock is the system's.
type Cache struct {
	next   Authenticator
	o      CacheOptions
	key    [32]byte
	asking singleflight.Group

	mu        sync.Mutex
	successes *lru[digest, success]
	names     *lru[string, named] // by login
	forgotten uint64              // how often Forget was called
}

type digest [sha256.Size]byte

type success struct {
	id    Identity
	until time.Time
}

// NewCache returns a Cache over next.
func NewCache(next Authenticator, o CacheOptions) *Cache {
	o.TTL = orDefault(o.TTL, 5*time.Minute)
	o.Size = orDefault(o.Size, 100_000)
	c := &Cache{next: next, o: o, successes: newLRU[digest, success](o.Size), names: newLRU[string, named](o.Size)}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// Unwrap returns the Authenticator that the cache asks.
func (c *Cache) Unwrap() Authenticator { return c.next }

// Authenticate returns a remembered success, or asks. Concurrent logins from
// one address with the same credentials ask once.
func (c *Cache) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	if creds.Proof != nil { // checked by who knows more than a password
		return c.next.Authenticate(ctx, creds)
	}
	d := c.digest(creds)
	id, ok, forgotten := c.lookup(d)
	if ok {
		return id, nil
	}
	// Who comes after Forget must not get an answer that was asked for before.
	question := fmt.Sprintf("%s%s %d", d[:], creds.Remote, forgotten)
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

// Forget drops what is remembered of a user, named as in Identity. Call it
// when his password, or anything else about him, has changed.
func (c *Cache) Forget(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++ // what is being asked at this moment must not be remembered
	c.successes.removeIf(func(s success) bool { return s.id.User == user })
	c.names.removeIf(func(n named) bool { return n.user == user })
}

// digest is a keyed hash of what decides: each field with its length before it.
func (c *Cache) digest(creds Credentials) (d digest) {
	h := hmac.New(sha256.New, c.key[:])
	secure := ""
	if creds.Secure {
		secure = "TLS"
	}
	var text []byte
	for _, s := range [...]string{creds.Service, secure, creds.User, creds.AuthzID, creds.Password} {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	h.Write(text)
	clear(text)
	h.Sum(d[:0])
	return d
}

func (c *Cache) lookup(d digest) (id Identity, ok bool, forgotten uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.successes.get(d)
	if ok && !time.Now().Before(s.until) {
		c.successes.remove(d)
		ok = false
	}
	return s.id, ok, c.forgotten
}

// remember keeps a success, unless somebody was forgotten since.
func (c *Cache) remember(d digest, id Identity, forgotten uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten == forgotten {
		c.successes.put(d, success{id, time.Now().Add(c.o.TTL)})
	}
}
