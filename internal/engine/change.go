package engine

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// Change is one atomic change.
type Change struct {
	// Body is stored with the change when it is not nil; Tx.Blob is its name.
	// It must not change until Commit returns.
	Body message.Body

	// Build makes the change. It is called exactly once, in commit order,
	// unless Commit fails before. It runs while other changes wait, so it must
	// be quick and not block. An error refuses this change alone, and nothing
	// of it is written; Commit returns the error as it is.
	//
	// When the disk refuses the whole group, Commit fails although Build
	// succeeded: what Build changes outside of tx must be harmless then, or
	// taken back by Undo.
	Build func(tx *Tx) error

	// Undo, when it is not nil, is called once when Build was called and the
	// change is not made after all: because Build failed, because of what it
	// asked for (a bad key, a dead body, too much), or because the disk refused
	// the group, whose changes are then undone from the last to the first. It
	// is called before the next Build of any change and before Commit returns:
	// the place to forget what Build kept in memory.
	Undo func()

	// Done, when it is not nil, is called after the change is durable and can
	// be read, in commit order, before the next group's Builds and before
	// Commit returns. It must be quick and not block. This is the place to
	// publish to memory and to watchers.
	Done func()
}

// Tx is the change that Build makes. It is valid during Build only.
type Tx struct {
	g      *group
	blob   BlobID
	ops    []byte // changes of keys, as the record will hold them
	cache  []byte // the same, for the index only
	staged int    // octets of ops that are in the group's batch already
	refs   []ref
	err    error
}

// ref is a change of a body's count.
type ref struct {
	blob BlobID
	n    int64
}

// Get returns the value of key as earlier changes and this one left it; ok is
// false when there is none. The value is the caller's.
func (tx *Tx) Get(key []byte) (value []byte, ok bool, err error) {
	r, err := tx.reader()
	if err != nil {
		return nil, false, err
	}
	return getKey(r, key)
}

// Set gives key a value. Both are copied. A key that is not allowed refuses
// the change with ErrBadKey.
func (tx *Tx) Set(key, value []byte) {
	if tx.allowed(key) {
		tx.ops = appendSet(tx.ops, key, value)
	}
}

// Delete removes key; it need not exist.
func (tx *Tx) Delete(key []byte) {
	if tx.allowed(key) {
		tx.ops = appendDelete(tx.ops, key)
	}
}

// Cache sets a key in the index only, not in the log: a value that can be
// computed again and that may be missing after a crash. The key must not be
// used with Set as well, and Get and Scan see it only once the change is made.
func (tx *Tx) Cache(key, value []byte) {
	if tx.allowed(key) {
		tx.cache = appendSet(tx.cache, key, value)
	}
}

// Blob returns the name of this change's body, 0 when it has none. The body
// has no reference yet: without a Ref it is dropped when the change is made.
func (tx *Tx) Blob() BlobID { return tx.blob }

// Ref adds n, which may be negative, to a body's reference count. At zero the
// body is dead: nobody can open it any more and its space can be reclaimed.
// The change is refused with ErrNoBlob when the body was dead before it, or
// when the count would be below zero after it.
func (tx *Tx) Ref(b BlobID, n int) {
	for i := range tx.refs {
		if tx.refs[i].blob == b {
			tx.refs[i].n += int64(n)
			return
		}
	}
	tx.refs = append(tx.refs, ref{b, int64(n)})
}

// Scan calls f for every key in [from, to), in order, as earlier changes and
// this one left them at the moment of the call: f may Set and Delete. A nil
// bound is none. Key and value are valid during the call of f only. Scan stops
// at f's first error and returns it.
func (tx *Tx) Scan(from, to []byte, f func(key, value []byte) error) error {
	r, err := tx.reader()
	if err != nil {
		return err
	}
	return scan(context.Background(), r, from, to, f)
}

func (tx *Tx) allowed(key []byte) bool {
	err := checkKey(key)
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return err == nil
}

// reader returns what sees the index, earlier changes of the group, and this
// one's so far.
func (tx *Tx) reader() (pebble.Reader, error) {
	if err := tx.g.stage.add(tx.ops[tx.staged:]); err != nil {
		return nil, err
	}
	tx.staged = len(tx.ops)
	return tx.g.stage.reader()
}

// reset makes tx ready for the next change.
func (tx *Tx) reset() {
	*tx = Tx{g: tx.g, ops: tx.ops[:0], cache: tx.cache[:0], refs: tx.refs[:0]}
	if cap(tx.ops)+cap(tx.cache) > writeBuffer {
		tx.ops, tx.cache = nil, nil
	}
}
