package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// cacheShard is a part of a Cache with a lock of its own, so that many
// processors do not wait for one.
type cacheShard struct {
	mu        sync.Mutex
	successes *lru.Map[digest, success]
}

// The shards of a cache. Each holds many successes, or those of a small cache
// would be spread unevenly.
const (
	maxShards = 32
	minShard  = 1024 // successes
)

// shardsFor returns how many shards a cache of a size has, and how many
// successes each of them holds.
func shardsFor(size int) (n, each int) {
	n = min(max(1, size/minShard), maxShards)
	return n, size / n
}

func newCacheShards(size int) []cacheShard {
	n, each := shardsFor(size)
	shards := make([]cacheShard, n)
	for i := range shards {
		shards[i].successes = lru.New[digest, success](each)
	}
	return shards
}

func (s *cacheShard) lookup(d digest) (Identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.successes.Get(d)
	if ok && !time.Now().Before(found.until) {
		s.successes.Remove(d)
		return Identity{}, false
	}
	return found.id, ok
}

func (s *cacheShard) forget(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.successes.RemoveIf(func(s success) bool { return s.id.User == user })
}

func (s *cacheShard) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.successes.Clear()
}

// digest is a keyed hash of what decides about a login.
type digest [sha256.Size]byte

// digester makes digests under its key.
type digester struct {
	key  [32]byte
	pool sync.Pool // of *mac
}

// mac is what making a digest needs.
type mac struct {
	hash hash.Hash
	text []byte
	sum  digest
}

// maxKept bounds the text for which room is kept, in octets.
const maxKept = 4096

// of returns the digest of credentials: each field with its length before it.
func (d *digester) of(c *Credentials) digest {
	m, ok := d.pool.Get().(*mac)
	if !ok {
		m = &mac{hash: hmac.New(sha256.New, d.key[:])}
	}
	defer d.pool.Put(m)
	secure := ""
	if c.Secure {
		secure = "TLS"
	}
	remote := c.Remote.As16()
	text := append(m.text[:0], remote[:]...)
	for _, s := range [...]string{c.Remote.Zone(), c.Service, secure, c.User, c.AuthzID, c.Password} {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	m.hash.Reset()
	m.hash.Write(text)
	m.hash.Sum(m.sum[:0])
	clear(text)
	if m.text = text; cap(text) > maxKept {
		m.text = nil
	}
	return m.sum
}
