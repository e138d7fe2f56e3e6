package mapping

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
)

// builder makes a Table.
type builder struct {
	t        Table
	records  []byte
	starts   []uint32 // of records
	lines    []uint32 // where each record stood, to tell of duplicates
	backends map[Route]uint64
	bad      []error
	skipped  int // bad lines beyond maxErrors
}

func newBuilder() *builder {
	return &builder{t: Table{seed: maphash.MakeSeed()}, backends: make(map[Route]uint64)}
}

func (b *builder) fail(line int, err error) {
	if len(b.bad) == maxErrors {
		b.skipped++
		return
	}
	b.bad = append(b.bad, &LineError{Line: line, Err: err})
}

// addRecord takes the exact line of a name in normal form in.
func (b *builder) addRecord(line int, name string, route Route) error {
	rec := record{name: name, user: route.User}
	route.User = ""
	var ok bool
	if rec.backend, ok = b.backends[route]; !ok {
		rec.backend = uint64(len(b.t.backends))
		b.backends[route] = rec.backend
		b.t.backends = append(b.t.backends, route)
	}
	start := len(b.records)
	b.records = rec.appendTo(b.records)
	if uint64(len(b.records)) >= maxRecords {
		b.records = b.records[:start]
		return badLine("the map is too large")
	}
	b.starts = append(b.starts, uint32(start))
	b.lines = append(b.lines, uint32(line))
	return nil
}

// table returns what was added, or what was wrong with it.
func (b *builder) table() (*Table, error) {
	t := &b.t
	t.records, b.records = string(b.records), nil
	t.names = len(b.starts)
	t.slots = make([]slot, t.names+t.names/2+1) // two thirds full
	for i, start := range b.starts {
		name, _ := nameAt(t.records, start)
		if first, ok := t.insert(name, start); !ok {
			j, _ := slices.BinarySearch(b.starts, first)
			b.fail(int(b.lines[i]), fmt.Errorf("%w in line %d: %s", ErrDuplicate, b.lines[j], name))
		}
	}
	if b.skipped > 0 {
		b.bad = append(b.bad, fmt.Errorf("%d more bad lines", b.skipped))
	}
	if len(b.bad) > 0 {
		return nil, errors.Join(b.bad...)
	}
	return t, nil
}

// insert puts a record into its slot, unless its name has one already.
func (t *Table) insert(name string, start uint32) (first uint32, ok bool) {
	hash := maphash.String(t.seed, name)
	for i := t.home(hash); ; i = t.after(i) {
		slot := t.slots[i]
		if slot == emptySlot {
			t.slots[i] = newSlot(hash, start)
			return start, true
		}
		if !slot.mayBe(hash) {
			continue
		}
		if found, _ := nameAt(t.records, slot.start()); found == name {
			return slot.start(), false
		}
	}
}
