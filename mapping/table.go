package mapping

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"strings"
)

// Table is a Mapper over the lines of a file map, which never change: see
// ReadTable for what they say. Besides its text a name costs some 16 octets,
// and a lookup of a name takes no lock and makes no garbage.
type Table struct {
	records  string                   // of the exact lines, see record
	slots    []slot                   // of the records, by hash, with open addressing
	seed     maphash.Seed             // of the hashes that lead to slots
	names    int                      // exact lines
	backends []Route                  // without users, each once
	domains  map[string]domainPattern // by mail.DomainKey
	patterns []expression             // in the order of the file
}

// slot is where a record begins and, above that, half of its name's hash:
// most other names are told apart without a look at their record.
type slot uint64

const emptySlot slot = 0 // a slot in use has tagInUse set

const tagInUse = 1 << 63

func newSlot(hash uint64, start uint32) slot { return tagInUse | slot(hash<<32) | slot(start) }

func (s slot) start() uint32 { return uint32(s) }

// mayBe reports whether the name of a slot can have this hash.
func (s slot) mayBe(hash uint64) bool { return s>>32 == newSlot(hash, 0)>>32 }

// record is an exact line as it lies in Table.records: the name, the number
// of its back end and its user there, each length and number a uvarint.
type record struct {
	name, user string
	backend    uint64
}

func (r record) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.name)))
	b = append(b, r.name...)
	b = binary.AppendUvarint(b, r.backend)
	b = binary.AppendUvarint(b, uint64(len(r.user)))
	return append(b, r.user...)
}

// nameAt returns the name of the record that begins at off, and where it ends.
func nameAt(records string, off uint32) (name string, end uint32) {
	n, off := uvarint(records, off)
	end = off + uint32(n)
	return records[off:end], end
}

// recordAt returns the record that begins at off.
func recordAt(records string, off uint32) (r record) {
	r.name, off = nameAt(records, off)
	r.backend, off = uvarint(records, off)
	n, off := uvarint(records, off)
	r.user = records[off : off+uint32(n)]
	return r
}

func uvarint(s string, off uint32) (v uint64, end uint32) {
	for shift := 0; ; shift += 7 {
		c := s[off]
		off++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, off
		}
	}
}

// Len returns how many lines the table has.
func (t *Table) Len() int { return t.names + len(t.domains) + len(t.patterns) }

// Map looks a user up: his name as it stands, his name without a sub-address
// "+tag", and then the patterns. ErrNotMapped when no line fits.
func (t *Table) Map(_ context.Context, user string) (Route, error) {
	name, ok := NormalName(user)
	if !ok {
		return Route{}, ErrNotMapped
	}
	if r, ok := t.exact(name); ok {
		return r, nil
	}
	if short, ok := withoutTag(name); ok {
		if r, ok := t.exact(short); ok {
			return r, nil
		}
	}
	return t.byPattern(name)
}

// exact finds the exact line of a name in normal form.
func (t *Table) exact(name string) (Route, bool) {
	if t.names == 0 {
		return Route{}, false
	}
	hash := maphash.String(t.seed, name)
	for i := t.home(hash); ; i = t.after(i) {
		slot := t.slots[i]
		if slot == emptySlot {
			return Route{}, false
		}
		if !slot.mayBe(hash) {
			continue
		}
		if found, _ := nameAt(t.records, slot.start()); found != name {
			continue
		}
		rec := recordAt(t.records, slot.start())
		r := t.backends[rec.backend]
		r.User = strings.Clone(rec.user) // or who keeps the route keeps all records
		return r, true
	}
}

// home is the slot where the search for a hash begins: its upper half decides,
// its lower half is the slot's tag.
func (t *Table) home(hash uint64) int {
	hi, _ := bits.Mul64(hash, uint64(len(t.slots)))
	return int(hi)
}

func (t *Table) after(slot int) int {
	if slot++; slot < len(t.slots) {
		return slot
	}
	return 0
}

// byPattern finds the first pattern in the file that fits a name in normal form.
func (t *Table) byPattern(name string) (Route, error) {
	last := len(t.patterns)
	d, found := t.domains[domainOf(name)]
	if found {
		last = d.before
	}
	for i := range t.patterns[:last] {
		p := &t.patterns[i]
		if match := p.re.FindStringSubmatchIndex(name); match != nil {
			return p.target.route(name, match)
		}
	}
	if !found {
		return Route{}, ErrNotMapped
	}
	return d.target.route(name, []int{0, len(name), 0, strings.LastIndexByte(name, '@')})
}
