package auth

import (
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// bucket counts the failures of an account, of a network, or of a known pair
// of them.
type bucket struct {
	failures int
	since    time.Time     // when the last failure was forgotten, or the first counted
	next     time.Time     // no attempt may begin earlier
	running  int           // attempts that have begun and not ended
	changed  chan struct{} // closed when one ends; nil: nobody waits

	strikes int       // failures and refusals since first
	first   time.Time // when they began to be counted
	banned  time.Time // until when every attempt is refused
}

func bucketOf[K comparable](l *lru.Map[K, *bucket], key K) *bucket {
	b, ok := l.Get(key)
	if !ok {
		b = &bucket{}
		l.Put(key, b)
	}
	return b
}

// forget forgets one failure for each time that has passed.
func (b *bucket) forget(now time.Time, each time.Duration) *bucket {
	if n := int(now.Sub(b.since) / each); b.failures > 0 && n > 0 {
		b.failures = max(0, b.failures-n)
		b.since = b.since.Add(time.Duration(n) * each)
	}
	return b
}

// fail counts a failure, up to most of them.
func (b *bucket) fail(now time.Time, most int) {
	if b.failures == 0 {
		b.since = now
	}
	b.failures = min(b.failures+1, most)
}

// strike counts a failure or a refusal towards a ban after so many.
func (b *bucket) strike(now time.Time, ban int, o *ThrottleOptions) {
	if ban < 0 || now.Before(b.banned) {
		return
	}
	if now.Sub(b.first) >= o.BanWindow {
		b.first, b.strikes = now, 0
	}
	if b.strikes++; b.strikes >= ban {
		b.strikes, b.banned = 0, now.Add(o.BanFor)
	}
}

// free returns when the next attempt may begin; the zero Time means at once.
func (b *bucket) free(now time.Time) (at time.Time) {
	for _, t := range [...]time.Time{b.next, b.banned} {
		if t.After(now) && t.After(at) {
			at = t
		}
	}
	return at
}

// pardon forgets failures and the ban, but not who is running.
func (b *bucket) pardon() {
	*b = bucket{running: b.running, changed: b.changed}
}

// change returns what is closed when an attempt ends.
func (b *bucket) change() <-chan struct{} {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// end counts an attempt out.
func (b *bucket) end() {
	b.running--
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
