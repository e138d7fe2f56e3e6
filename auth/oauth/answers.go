package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// answers remembers whose tokens were. It keeps a hash of each token, under a
// key that is made at random, and not the token.
type answers struct {
	keep time.Duration // not positive: nothing is remembered
	size int
	key  [32]byte

	mu  sync.Mutex
	all map[digest]answer
}

type digest [sha256.Size]byte

type answer struct {
	name  string
	until time.Time // zero: not known
}

func newAnswers(keep time.Duration, size int) *answers {
	a := &answers{keep: keep, size: size, all: make(map[digest]answer)}
	_, _ = rand.Read(a.key[:]) // never fails
	return a
}

func (a *answers) digest(token string) (d digest) {
	h := hmac.New(sha256.New, a.key[:])
	h.Write([]byte(token))
	h.Sum(d[:0])
	return d
}

func (a *answers) get(d digest, now time.Time) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	got, ok := a.all[d]
	if ok && !now.Before(got.until) {
		delete(a.all, d)
		ok = false
	}
	return got.name, ok
}

// put remembers an answer until it is too old, or its token expires. When
// there is no room, any other goes.
func (a *answers) put(d digest, got answer, now time.Time) {
	if until := now.Add(a.keep); got.until.IsZero() || got.until.After(until) {
		got.until = until
	}
	if !now.Before(got.until) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for other := range a.all {
		if len(a.all) < a.size {
			break
		}
		delete(a.all, other)
	}
	a.all[d] = got
}
