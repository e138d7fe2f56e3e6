package local

// cache holds what was used lately: between half and all of its size. What is
// used moves to the young half; when that is full it becomes the old half, and
// what was in the old one is forgotten.
type cache[K comparable, V any] struct {
	half       int
	young, old map[K]V
}

func newCache[K comparable, V any](size int) cache[K, V] {
	return cache[K, V]{half: max(size/2, 1), young: make(map[K]V)}
}

// peek looks without moving anything.
func (c *cache[K, V]) peek(k K) (v V, ok bool) {
	if v, ok = c.young[k]; !ok {
		v, ok = c.old[k]
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	c.add(k, v)
	if c.full() {
		c.age()
	}
}

// add is put for a cache that is told when to forget.
func (c *cache[K, V]) add(k K, v V) { c.young[k] = v }

func (c *cache[K, V]) full() bool { return len(c.young) >= c.half }

// age forgets the old half.
func (c *cache[K, V]) age() { c.old, c.young = c.young, make(map[K]V) }

func (c *cache[K, V]) remove(k K) {
	delete(c.young, k)
	delete(c.old, k)
}
