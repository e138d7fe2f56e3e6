package ldap

import (
	"slices"
	"strings"
)

// entryID is what an entry keeps when it is renamed: entryUUID or objectGUID.
type entryID [16]byte

// memory holds what was last told of entries, within a bound in octets. It
// is there to know the names that an entry had before it changed.
type memory struct {
	entries map[entryID]string // packed records
	free    int64              // octets
	partial bool               // there is, or was, no room for some entry
}

// perEntry is about what a map needs for an entry beside the text.
const perEntry = 64

func newMemory(octets int64) memory {
	return memory{entries: make(map[entryID]string), free: octets}
}

func (m *memory) get(id entryID) (record, bool) {
	packed, ok := m.entries[id]
	if !ok {
		return record{}, false
	}
	return unpack(packed), true
}

func (m *memory) put(id entryID, r record) {
	m.remove(id)
	packed := r.pack()
	cost := perEntry + int64(len(packed))
	if cost > m.free {
		m.partial = true
		return
	}
	m.entries[id] = packed
	m.free -= cost
}

func (m *memory) remove(id entryID) {
	if packed, ok := m.entries[id]; ok {
		m.free += perEntry + int64(len(packed))
		delete(m.entries, id)
	}
}

// record is what is remembered of an entry.
type record struct {
	dn     string
	group  bool
	values [][]string // of each attribute that names users
}

// moved reports whether an entry has another place, and others may have it
// with him that are not told of: a container was renamed.
func (r record) moved(to record) bool {
	return r.dn != to.dn && !r.group && r.nameless() && to.nameless()
}

func (r record) nameless() bool { return len(slices.Concat(r.values...)) == 0 }

// pack makes one string of a record: NUL ends a part, SOH a value. Neither is
// in a DN's string (RFC 4514 §2.4), nor in a value that is somebody's name.
func (r record) pack() string {
	var b strings.Builder
	b.WriteString(r.dn)
	if r.group {
		b.WriteByte('\x01')
	}
	for _, values := range r.values {
		b.WriteByte('\x00')
		b.WriteString(strings.Join(values, "\x01"))
	}
	return b.String()
}

func unpack(packed string) record {
	parts := strings.Split(packed, "\x00")
	var r record
	r.dn, r.group = strings.CutSuffix(parts[0], "\x01")
	for _, part := range parts[1:] {
		var values []string
		if part != "" {
			values = strings.Split(part, "\x01")
		}
		r.values = append(r.values, values)
	}
	return r
}
