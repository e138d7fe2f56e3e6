package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// user makes changes in an order that depends on its seed alone, so that the
// number of changes that survived says exactly what must be there.
type user struct {
	number  int
	rng     *rand.Rand
	typical int             // its bodies have fewer octets than this, most of them
	largest int             // and all of them fewer than this
	items   map[int]content // what is there, by the number in its key
	made    int             // changes in items
	free    int             // number of the next item

	started atomic.Int64 // changes that were begun
	acked   atomic.Int64 // changes that were acknowledged
	onAck   func()       // called after each; may be nil
}

// content is what an item refers to.
type content struct {
	seed uint32
	size int
}

func newUser(number int, seed uint64) *user {
	life := rngOf(seed)
	return &user{
		number: number, typical: 1 << (6 + life.IntN(9)), largest: 1 << (10 + life.IntN(9)), items: make(map[int]content),
		rng: rand.New(rand.NewPCG(seed, uint64(number))),
	}
}

// step is one change of the model: it returns what to do in the engine, and
// the body if it has one.
func (u *user) step() (body *content, build func(tx *Tx) error) {
	u.made++
	made := u.made
	count := func(tx *Tx) { tx.Set(u.countKey(), binary.BigEndian.AppendUint64(nil, uint64(made))) }
	item := u.pick()
	switch action := u.rng.IntN(10); {
	case item < 0 || action < 5:
		return u.add(count)
	case action < 7:
		delete(u.items, item)
		return nil, func(tx *Tx) error {
			count(tx)
			return u.remove(tx, item)
		}
	case action < 9:
		copied := u.free
		u.free++
		u.items[copied] = u.items[item]
		return nil, func(tx *Tx) error {
			count(tx)
			v, _, err := tx.Get(u.itemKey(item))
			if err != nil || len(v) != 8 {
				return fmt.Errorf("item %d is %x: %w", item, v, err)
			}
			tx.Set(u.itemKey(copied), v)
			tx.Set(u.twinKey(copied), v)
			tx.Ref(BlobID(binary.BigEndian.Uint64(v)), 1)
			return nil
		}
	}
	clear(u.items)
	return nil, func(tx *Tx) error {
		count(tx)
		var all []int
		if err := u.each(tx.Scan, func(item int, _ []byte) { all = append(all, item) }); err != nil {
			return err
		}
		for _, item := range all {
			if err := u.remove(tx, item); err != nil {
				return err
			}
		}
		return nil
	}
}

func (u *user) add(count func(tx *Tx)) (*content, func(tx *Tx) error) {
	item := u.free
	u.free++
	c := content{u.rng.Uint32(), u.rng.IntN(u.typical)}
	if u.rng.IntN(20) == 0 {
		c.size = u.rng.IntN(u.largest)
	}
	u.items[item] = c
	return &c, func(tx *Tx) error {
		count(tx)
		id := binary.BigEndian.AppendUint64(nil, uint64(tx.Blob()))
		tx.Set(u.itemKey(item), id)
		tx.Set(u.twinKey(item), id)
		tx.Ref(tx.Blob(), 1)
		return nil
	}
}

func (u *user) remove(tx *Tx, item int) error {
	v, _, err := tx.Get(u.itemKey(item))
	if err != nil || len(v) != 8 {
		return fmt.Errorf("item %d is %x: %w", item, v, err)
	}
	tx.Ref(BlobID(binary.BigEndian.Uint64(v)), -1)
	tx.Delete(u.itemKey(item))
	tx.Delete(u.twinKey(item))
	return nil
}

// pick returns some item that is there, -1 when there is none.
func (u *user) pick() int {
	if len(u.items) == 0 {
		return -1
	}
	for {
		item := u.rng.IntN(u.free)
		if _, ok := u.items[item]; ok {
			return item
		}
	}
}

func (u *user) countKey() []byte        { return fmt.Appendf(nil, "count/%03d", u.number) }
func (u *user) itemKey(item int) []byte { return fmt.Appendf(nil, "item/%03d/%08d", u.number, item) }
func (u *user) twinKey(item int) []byte { return fmt.Appendf(nil, "twin/%03d/%08d", u.number, item) }
func (u *user) bounds() (from, to []byte) {
	return fmt.Appendf(nil, "item/%03d/", u.number), fmt.Appendf(nil, "item/%03d0", u.number)
}

func (u *user) each(scan func(from, to []byte, f func(k, v []byte) error) error, f func(item int, value []byte)) error {
	from, to := u.bounds()
	return scan(from, to, func(k, v []byte) error {
		var user, item int
		if _, err := fmt.Sscanf(string(k), "item/%d/%d", &user, &item); err != nil {
			return err
		}
		f(item, append([]byte(nil), v...))
		return nil
	})
}

// work makes changes until one fails, and compacts now and then.
func (u *user) work(e *Engine) error {
	for {
		body, build := u.step()
		c := &Change{Build: build}
		if body != nil {
			c.Body = message.FromBytes(octets(body.size, body.seed))
		}
		u.started.Add(1)
		if err := e.Commit(context.Background(), c); err != nil {
			return err
		}
		acked := u.acked.Add(1)
		if u.onAck != nil {
			u.onAck()
		}
		if acked%20 == 0 {
			if _, err := e.Compact(context.Background()); err != nil {
				return err
			}
		}
	}
}

// check requires that e holds exactly what a user had after the changes that
// e counts, which must be at least acked and at most started, and returns a
// user who goes on from there.
func (u *user) check(t *testing.T, e *Engine, seed uint64, acked, started int64) *user {
	t.Helper()
	var count uint64
	v, ok, err := e.Get(u.countKey())
	require.NoError(t, err)
	if ok {
		count = binary.BigEndian.Uint64(v)
	}
	require.GreaterOrEqual(t, int64(count), acked, "acknowledged changes of user %d are lost", u.number)
	require.LessOrEqual(t, int64(count), started, "user %d", u.number)
	now := newUser(u.number, seed)
	for range count {
		now.step()
	}
	now.started.Store(int64(count))
	now.acked.Store(int64(count))
	found := make(map[int]content)
	scan := func(from, to []byte, f func(k, v []byte) error) error {
		return e.Scan(context.Background(), from, to, f)
	}
	require.NoError(t, u.each(scan, func(item int, value []byte) {
		c, ok := now.items[item]
		require.True(t, ok, "item %d of user %d should not be there", item, u.number)
		found[item] = c
		requireBody(t, e, BlobID(binary.BigEndian.Uint64(value)), octets(c.size, c.seed))
		requireKey(t, e, string(u.twinKey(item)), string(value))
	}))
	require.Equal(t, now.items, found, "user %d", u.number)
	return now
}

// checkAccounts requires that the accounts of segments are what the bodies say.
// No changes may be under way.
func checkAccounts(t *testing.T, e *Engine) {
	t.Helper()
	e.compacting <- struct{}{} // nobody moves bodies meanwhile
	defer func() { <-e.compacting }()
	bodies := recount(t, e)
	for _, s := range e.Stats().Segments {
		require.Equal(t, bodies[s.Segment], account{0, s.Live, s.Bodies}, "segment %d", s.Segment)
	}
}

// recount counts the bodies in each segment at one moment, and requires that
// the accounts in the index say the same. Changes may be under way.
func recount(t *testing.T, e *Engine) (bodies map[uint32]account) {
	t.Helper()
	snapshot := e.db.NewSnapshot()
	defer snapshot.Close()
	it, err := snapshot.NewIter(nil)
	require.NoError(t, err)
	defer it.Close()
	bodies = make(map[uint32]account)
	accounts := make(map[uint32]account)
	for ok := it.First(); ok; ok = it.Next() {
		if k, v := it.Key(), it.Value(); strings.HasPrefix(string(k), keySegment) {
			live, n := binary.BigEndian.Uint64(v[8:]), binary.BigEndian.Uint64(v[16:])
			if n > 0 {
				accounts[binary.BigEndian.Uint32(k[2:])] = account{0, int64(live), int64(n)}
			}
		}
		if _, ok := blobOfKey(it.Key()); !ok {
			continue
		}
		b, err := parseBlob(it.Value())
		require.NoError(t, err)
		a := bodies[b.segment]
		bodies[b.segment] = account{0, a.live + b.size, a.bodies + 1}
	}
	require.Equal(t, bodies, accounts)
	return bodies
}
