// Package engine is the message log and the index under Posthouse's embedded
// store and queue: atomic changes of keys and message bodies, durable when
// they are acknowledged.
//
// Invariants of this package:
//
//   - Acknowledged means synced. A change is on disk whole before Commit
//     returns, before anybody can read it and before its Done is called; a
//     change that was not acknowledged is there whole or not at all.
//   - The log is the only thing that is synced. Every change is one record in
//     the current segment, and all changes that wait at one moment share one
//     sync. The index is caught up from the log when it is opened.
//   - Damage is reported with its place, never cut off silently: only what
//     the last sync may have left unfinished is dropped from the log's end.
//   - A body's octets are checked before they are handed out.
//   - A body is written once, and its name never means another body.
package engine

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/message"
)

// Options of an engine. The zero value is usable.
type Options struct {
	FS          vfs.FS       // where everything is kept; nil: the disk
	SegmentSize int64        // octets after which a new segment begins; 0: 256 MiB; at most 1 GiB
	Logger      *slog.Logger // nil: slog.Default()
}

// Engine is an open log with its index. All methods may be called from many
// goroutines.
type Engine struct {
	mu   sync.Mutex
	db   *pebble.DB
	next uint64
}

// Open opens the engine in dir, which is made when it does not exist, and
// brings the index up to the end of the log. It fails with ErrLocked when the
// directory is in use and with ErrDamaged when the log has a hole.
func Open(dir string, o Options) (*Engine, error) {
	db, err := pebble.Open(dir, &pebble.Options{FS: o.FS})
	if err != nil {
		return nil, err
	}
	e := &Engine{db: db}
	v, ok, err := get(db, []byte("!next"))
	if err != nil {
		db.Close()
		return nil, err
	}
	if ok {
		e.next = binary.BigEndian.Uint64(v)
	}
	return e, nil
}

// Close waits for changes under way, refuses new ones with ErrClosed, and
// brings everything to disk, so that the next Open has nothing to catch up.
// Open bodies stay readable until they are closed.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.db.Close()
}

// Commit makes one change and returns when it is durable and applied, or
// refused with nothing of it written. ctx counts only until the change's turn
// comes: after that Commit returns with the change's real outcome.
// It must not be called from Build or Done.
func (e *Engine) Commit(ctx context.Context, c *Change) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.commit(c)
}

// Get returns the value of key; ok is false when there is none.
func (e *Engine) Get(key []byte) (value []byte, ok bool, err error) { return get(e.db, key) }

// Scan calls f for every key in [from, to) in order, as everything stood at
// one moment. A nil from or to is no bound. Key and value are valid during the
// call only. Scan stops at the first error of f and returns it, or ctx's.
func (e *Engine) Scan(ctx context.Context, from, to []byte, f func(key, value []byte) error) error {
	return scan(ctx, e.db, from, to, f)
}

// Open opens a body for reading. ErrNoBlob: it has no references (any more);
// ErrDamaged, also from its ReadAt: the body is not what was written.
// A body that is open stays readable when its last reference goes.
func (e *Engine) Open(b BlobID) (message.OpenBody, error) {
	v, ok, err := get(e.db, blobKey("!d", b))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoBlob
	}
	return nopCloser{message.FromBytes(v)}, nil
}

// PutCache stores a value that can be computed again, outside of a change:
// it may be missing after a crash. A nil value removes it.
func (e *Engine) PutCache(key, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if value == nil {
		return e.db.Delete(key, pebble.NoSync)
	}
	return e.db.Set(key, value, pebble.NoSync)
}
