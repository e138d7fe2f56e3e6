package engine

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// BlobID names a body for ever. IDs ascend in the order of commits and are
// never given twice; 0 is no body.
type BlobID uint64

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

	// Undo, when it is not nil, is called when Build succeeded and the change
	// is not made after all (a bad key, a dead body, a record too large, a
	// write or sync that failed), before the next Build of any change and
	// before Commit returns: the place to forget what Build kept in memory. A
	// refused group is undone from its last change to its first.
	Undo func()

	// Done, when it is not nil, is called after the change is durable and can
	// be read, in commit order, before the next group's Builds and before
	// Commit returns. It must be quick and not block. This is the place to
	// publish to memory and to watchers.
	Done func()
}

// Tx is the change that Build makes. It is valid during Build only.
type Tx struct {
	e     *Engine
	batch *pebble.Batch
	blob  BlobID
	refs  []ref
	err   error
}

type ref struct {
	blob BlobID
	n    int
}

// Get returns the value of key as earlier changes and this one left it; ok is
// false when there is none.
func (tx *Tx) Get(key []byte) (value []byte, ok bool, err error) { return get(tx.batch, key) }

// Set gives key a value. Both are copied.
func (tx *Tx) Set(key, value []byte) {
	if tx.fail(checkKey(key)) {
		return
	}
	tx.fail(tx.batch.Set(key, value, nil))
}

// Delete removes key; it need not exist.
func (tx *Tx) Delete(key []byte) {
	if tx.fail(checkKey(key)) {
		return
	}
	tx.fail(tx.batch.Delete(key, nil))
}

// Cache sets a key in the index only, not in the log: a value that can be
// computed again and that may be missing after a crash. The key must not be
// used with Set as well.
func (tx *Tx) Cache(key, value []byte) { tx.Set(key, value) }

// Blob returns the name of this change's body, 0 when it has none. The body
// has no reference yet: without a Ref it is dropped when the change is made.
func (tx *Tx) Blob() BlobID { return tx.blob }

// Ref adds n, which may be negative, to a body's reference count. At zero the
// body is dead: nobody can open it any more and its space can be reclaimed.
// The change is refused with ErrNoBlob when the body is already dead or the
// count would go below zero.
func (tx *Tx) Ref(b BlobID, n int) { tx.refs = append(tx.refs, ref{b, n}) }

// Scan calls f for every key in [from, to), in order, as earlier changes and
// this one left them at the moment of the call: f may Set and Delete. A nil
// bound is none. Key and value are valid during the call of f only.
func (tx *Tx) Scan(from, to []byte, f func(key, value []byte) error) error {
	return scan(context.Background(), tx.batch, from, to, f)
}

func (tx *Tx) fail(err error) bool {
	if tx.err == nil {
		tx.err = err
	}
	return err != nil
}
