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
//   - A body is written once, but for compaction, and its name never means
//     another body.
//   - The log is one sequence of segments, in whichever location each stands; a
//     location that is not what it was is refused, never taken for an empty one.
//
// Callers' keys are any octets but those that begin with '!'. The index is a
// Pebble database without a log of its own. When Pebble can't write its list
// of files, the process panics, because nobody could say any more what its
// directory holds; the next Open catches up from the log as after every crash.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Engine is an open log with its index. All methods may be called from many
// goroutines.
type Engine struct {
	options Options
	fs      vfs.FS
	log     *slog.Logger
	logDir  string
	locks   []io.Closer

	db       *pebble.DB
	files    *files
	accounts *accounts
	preparer *preparer
	requests sync.Pool // *request
	inbox    inbox
	janitor  *janitor
	gate     gate
	failure  failure
	counters counters
	removing sync.Mutex    // held while segments are removed, or must stay
	stopped  chan struct{} // closed when the committer has ended

	compactor  *compactor
	compacting chan struct{}   // has room for who compacts
	stuck      map[uint32]bool // segments that could not be emptied; whoever compacts has it
	full       atomic.Bool     // a body was refused for want of space, and none taken since

	checkpointing sync.Mutex  // guards checkpoint once the engine is open
	checkpoint    checkpoint  // the newest one
	aside         bool        // Open has put the index aside, and has not made another yet
	ending        atomic.Bool // the segment that is written is to be ended

	// The committer's alone.
	w       *writer
	writing *segmentFile // w's file, kept open
	space   space
	tx      Tx         // of the change being built; kept for its memory
	counts  []newCount // the same
}

// Open opens the engine in dir, which is made when it does not exist (its
// parent should), and brings the index up to the end of the log. It fails with
// ErrLocked when the directory or a location is in use, with ErrLocation when
// a location is not what it was, and with ErrDamaged when the log has a hole.
func Open(dir string, o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{
		options: o, fs: o.FS, log: o.Logger, logDir: o.FS.PathJoin(dir, "log"),
		preparer: newPreparer(), janitor: newJanitor(), compactor: newCompactor(), compacting: make(chan struct{}, 1), stopped: make(chan struct{}), stuck: make(map[uint32]bool),
	}
	e.inbox.signal = make(chan struct{}, 1)
	e.gate.left = make(chan struct{}, 1)
	e.requests.New = func() any { return &request{done: make(chan struct{}, 1)} }
	e.files = newFiles(o, locationsOf(o, e.logDir))
	e.space = newSpace(o, dir, e.files, e.counters.written.Load)
	if err := e.open(dir); err != nil {
		return nil, errors.Join(err, e.shut())
	}
	e.aside = false
	go e.run()
	go e.tidy()
	go e.keepCompact()
	e.janitor.wake()
	e.compactor.wake()
	return e, nil
}

func (e *Engine) open(dir string) (err error) {
	for _, d := range []string{dir, e.logDir} {
		if err := makeDir(e.fs, d); err != nil {
			return err
		}
	}
	name := e.fs.PathJoin(dir, "lock")
	if err := e.takeLock(name); err != nil {
		return err
	}
	locations, err := e.openLocations(dir)
	if err != nil {
		return err
	}
	if e.options.Rebuild {
		if err := e.putAside(dir); err != nil {
			return err
		}
	}
	if err := e.openIndex(e.fs.PathJoin(dir, "index")); err != nil {
		return err
	}
	if err := checkFormat(e.db); err != nil {
		return err
	}
	if err := e.restore(); err != nil {
		return err
	}
	if e.accounts, err = loadAccounts(e.db); err != nil {
		return err
	}
	if err := e.catchUp(); err != nil {
		return err
	}
	e.options.Salvage = nil
	e.reportMissing()
	return locations.forget()
}

// Close waits for changes and reads under way, refuses new ones with
// ErrClosed, and brings everything to disk, so that the next Open has nothing
// to catch up. Open bodies stay readable until they are closed. A second
// Close does nothing.
func (e *Engine) Close() error {
	if !e.halt() {
		return nil
	}
	return errors.Join(e.flush(), e.shut())
}

// halt ends everything that uses the index. It returns false when another
// Close did, or does.
func (e *Engine) halt() (first bool) {
	first = e.inbox.close()
	<-e.stopped
	if first {
		e.compactor.end()
		e.janitor.stop()
		e.gate.close()
	}
	return first
}

// flush brings the index to disk. When that fails nothing is lost, as the log
// has everything.
func (e *Engine) flush() error {
	flushed, err := flushedPosition(e.db)
	if err != nil {
		return err
	}
	if flushed == e.w.position() {
		return nil
	}
	return e.flushIndex(context.Background())
}

// shut gives back what open took, as far as it came.
func (e *Engine) shut() (err error) {
	if e.db != nil {
		err = e.db.Close()
	}
	if e.aside {
		err = errors.Join(err, e.putBack())
	}
	if e.writing != nil {
		e.files.release(e.writing)
	}
	e.files.close()
	for _, lock := range e.locks {
		err = errors.Join(err, lock.Close())
	}
	return err
}

// takeLock keeps other engines out until shut.
func (e *Engine) takeLock(name string) error {
	lock, err := e.fs.Lock(name)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrLocked, name, err)
	}
	e.locks = append(e.locks, lock)
	return nil
}
