package auth

import "container/list"

// lru is a map of bounded size: the entry that was not used for the longest
// time makes room. It is not safe for concurrent use.
type lru[K comparable, V any] struct {
	size    int
	entries map[K]*list.Element // of *lruEntry[K, V]
	order   *list.List          // the latest first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, entries: make(map[K]*list.Element), order: list.New()}
}

// get returns a value and counts as its use.
func (l *lru[K, V]) get(key K) (value V, ok bool) {
	e, ok := l.entries[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

// put sets a value, and counts as its use.
func (l *lru[K, V]) put(key K, value V) {
	if e, ok := l.entries[key]; ok {
		e.Value.(*lruEntry[K, V]).value = value
		l.order.MoveToFront(e)
		return
	}
	for len(l.entries) >= l.size {
		l.remove(l.order.Back().Value.(*lruEntry[K, V]).key)
	}
	l.entries[key] = l.order.PushFront(&lruEntry[K, V]{key, value})
}

func (l *lru[K, V]) remove(key K) {
	if e, ok := l.entries[key]; ok {
		l.order.Remove(e)
		delete(l.entries, key)
	}
}

// removeIf removes every entry whose value fits.
func (l *lru[K, V]) removeIf(fits func(V) bool) {
	var next *list.Element
	for e := l.order.Front(); e != nil; e = next {
		next = e.Next()
		if entry := e.Value.(*lruEntry[K, V]); fits(entry.value) {
			l.remove(entry.key)
		}
	}
}

// each calls f with every entry, the latest first, without counting as a use.
func (l *lru[K, V]) each(f func(K, V)) {
	for e := l.order.Front(); e != nil; e = e.Next() {
		entry := e.Value.(*lruEntry[K, V])
		f(entry.key, entry.value)
	}
}

func (l *lru[K, V]) len() int { return len(l.entries) }
