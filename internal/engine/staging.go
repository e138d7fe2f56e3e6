package engine

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// staging is the batch of a group: what its changes do to the index. It is
// indexed for reading only from the first read on, because a group of nothing
// but deliveries never reads.
type staging struct {
	db      *pebble.DB
	batch   *pebble.Batch
	indexed bool
	ops     int // operations in batch that belong to accepted changes
	added   int // all operations in batch
}

func newStaging(db *pebble.DB) *staging { return &staging{db: db, batch: db.NewBatch()} }

// add puts changes into the batch.
func (s *staging) add(ops []byte) error {
	ok, err := eachOp(ops, func(kv keyValue) error {
		s.added++
		if kv.op == opDelete {
			return s.batch.Delete(kv.key, nil)
		}
		return s.batch.Set(kv.key, kv.value, nil)
	})
	if !ok {
		return errBadChanges
	}
	return err
}

var errBadChanges = errors.New("engine: changes of a record can't be read")

// set adds one of the engine's own keys.
func (s *staging) set(key, value []byte) error {
	s.added++
	return s.batch.Set(key, value, nil)
}

// accept says that everything added so far stays.
func (s *staging) accept() { s.ops = s.added }

// reader returns what sees the index and everything added.
func (s *staging) reader() (pebble.Reader, error) {
	if s.added == 0 {
		return s.db, nil
	}
	if !s.indexed {
		if err := s.rebuild(s.added); err != nil {
			return nil, err
		}
	}
	return s.batch, nil
}

// rollback takes back what was added since accept.
func (s *staging) rollback() error {
	if s.added == s.ops {
		return nil
	}
	return s.rebuild(s.ops)
}

// rebuild makes an indexed batch of the first n operations.
func (s *staging) rebuild(n int) error {
	fresh := s.db.NewIndexedBatch()
	old := s.batch.Reader()
	for range n {
		kind, key, value, ok, err := old.Next()
		if err == nil && ok {
			if kind == pebble.InternalKeyKindDelete {
				err = fresh.Delete(key, nil)
			} else {
				err = fresh.Set(key, value, nil)
			}
		}
		if err != nil {
			fresh.Close()
			return err
		}
	}
	s.batch.Close()
	s.batch, s.indexed, s.added = fresh, true, n
	return nil
}

// finish adds the accounts and the position in the log that belong to
// everything added, and makes it visible.
func (s *staging) finish(after map[uint32]account, p position) error {
	for number, a := range after {
		if err := s.set(segmentKey(number), a.value()); err != nil {
			return err
		}
	}
	if err := s.set([]byte(keyPosition), p.value()); err != nil {
		return err
	}
	return s.apply()
}

// apply makes everything visible.
func (s *staging) apply() error { return s.db.Apply(s.batch, pebble.NoSync) }

func (s *staging) close() { s.batch.Close() }
