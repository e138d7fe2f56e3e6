package auth

import "time"

// bucket counts the failures of an account, of a network, or of a known pair
// of them.
type bucket struct {
	failures int
	since    time.Time     // when the last failure was forgotten, or the first counted
	next     time.Time     // no attempt may begin earlier
	running  int           // attempts that have begun and not ended
	changed  chan struct{} // closed when one ends; nil: nobody waits
}

func bucketOf[K comparable](l *lru[K, *bucket], key K) *bucket {
	b, ok := l.get(key)
	if !ok {
		b = &bucket{}
		l.put(key, b)
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
