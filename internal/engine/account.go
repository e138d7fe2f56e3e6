package engine

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// account is what a segment holds.
type account struct {
	size   int64 // octets of its file that are part of the log
	live   int64 // octets of bodies with references
	bodies int64 // bodies with references
}

func (a account) value() []byte {
	v := binary.BigEndian.AppendUint64(nil, uint64(a.size))
	v = binary.BigEndian.AppendUint64(v, uint64(a.live))
	return binary.BigEndian.AppendUint64(v, uint64(a.bodies))
}

func segmentKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(keySegment), number)
}

// accounts are those of all segments. The committer alone changes them.
type accounts struct {
	mu sync.Mutex
	of map[uint32]account
}

func newAccounts() *accounts { return &accounts{of: make(map[uint32]account)} }

func loadAccounts(r pebble.Reader) (*accounts, error) {
	a := newAccounts()
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: []byte(keySegment), UpperBound: []byte(keySegment[:1] + "h"),
	})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) != len(keySegment)+4 || len(v) != 24 {
			err = &Damage{What: "account of a segment"}
			break
		}
		a.of[binary.BigEndian.Uint32(k[2:])] = account{
			size:   int64(binary.BigEndian.Uint64(v)),
			live:   int64(binary.BigEndian.Uint64(v[8:])),
			bodies: int64(binary.BigEndian.Uint64(v[16:])),
		}
	}
	if closing := it.Close(); err == nil {
		err = closing
	}
	return a, indexFailure(err)
}

// accountChange is what a group does to the accounts: its size is the new
// one, the rest are differences.
type accountChange map[uint32]account

func (c accountChange) add(b blob, sign int64) {
	a := c[b.segment]
	a.live += sign * b.size
	a.bodies += sign
	c[b.segment] = a
}

// end says where the log ends now.
func (c accountChange) end(p position) {
	a := c[p.segment]
	a.size = p.off
	c[p.segment] = a
}

// with returns the accounts as they will be after c.
func (a *accounts) with(c accountChange) map[uint32]account {
	a.mu.Lock()
	defer a.mu.Unlock()
	after := make(map[uint32]account, len(c))
	for number, d := range c {
		was := a.of[number]
		after[number] = account{max(was.size, d.size), was.live + d.live, was.bodies + d.bodies}
	}
	return after
}

// set puts accounts in force. It reports whether a segment has lost a body, and
// whether one has lost its last.
func (a *accounts) set(after map[uint32]account) (less, emptied bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for number, acc := range after {
		was := a.of[number].bodies
		less = less || acc.bodies < was
		emptied = emptied || acc.bodies == 0 && was > 0
		a.of[number] = acc
	}
	return less, emptied
}

func (a *accounts) get(number uint32) account {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[number]
}

// ensure makes an account of a segment that ended without a change, so that it
// is removed like others.
func (a *accounts) ensure(number uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.of[number]; !ok {
		a.of[number] = account{}
	}
}

func (a *accounts) remove(number uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of, number)
}

// numbers returns the segments that have an account, ascending.
func (a *accounts) numbers() []uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]uint32, 0, len(a.of))
	for number := range a.of {
		list = append(list, number)
	}
	slices.Sort(list)
	return list
}
