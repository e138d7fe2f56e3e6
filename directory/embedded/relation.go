package embedded

import "slices"

// relation says which names lead to which, and back. Slices that lookups may
// have got are replaced, never changed.
type relation struct {
	to   map[string][]string // in the order in which they were added
	back map[string][]string // sorted
}

func newRelation() relation {
	return relation{to: make(map[string][]string), back: make(map[string][]string)}
}

// link makes a name lead to one more.
func (r *relation) link(from, to string) {
	if !slices.Contains(r.to[from], to) {
		r.to[from] = append(slices.Clone(r.to[from]), to)
	}
	if i, ok := slices.BinarySearch(r.back[to], from); !ok {
		r.back[to] = slices.Insert(slices.Clone(r.back[to]), i, from)
	}
}

func (r *relation) unlink(from, to string) {
	without(r.to, from, to)
	without(r.back, to, from)
}

// without takes a value out of the list of a key.
func without(m map[string][]string, key, value string) {
	m[key] = slices.DeleteFunc(slices.Clone(m[key]), func(v string) bool { return v == value })
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// clear makes a name lead nowhere.
func (r *relation) clear(from string) {
	for _, to := range slices.Clone(r.to[from]) {
		r.unlink(from, to)
	}
}

// forget makes nothing lead to a name any more, and returns what did.
func (r *relation) forget(to string) []string {
	all := slices.Clone(r.back[to])
	for _, from := range all {
		r.unlink(from, to)
	}
	return all
}
