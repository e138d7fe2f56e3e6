// Package local is Posthouse's embedded mail store: everything in one
// directory, nothing to set up. Bodies stand in the segments of a message log,
// each once however many mailboxes it is in, and the index beside it says what
// is where.
//
// Invariants of this package:
//
//   - One change of a mailbox, or of many, is one record of the log and shares
//     one sync with everything that happens at the same moment.
//   - Only the committer changes what is in memory, when the change is
//     durable. While a change is on its way it is seen by the changes built
//     after it and by nobody else; if it is refused, so are they.
//   - Counters, UIDNEXT and ModSeq are part of every record that changes them.
//   - No lock is held while somebody reads a list or a message.
//   - What is in memory is bounded: the states of mailboxes in use, and the
//     rows of those that are being read.
//   - What an account holds is the sum of the states of its mailboxes and is
//     written nowhere else. Of accounts with a bound it is kept in memory.
//
// Its Store has the powers storage.Remover, storage.RoomChecker, storage.Freezer,
// storage.Purger, storage.Watcher, storage.Finder and storage.Sharer, its
// Account storage.ACLs, storage.ACLLister, storage.Annotations, storage.Quotas and
// storage.Retainer, its Mailbox storage.Recenter, storage.SaveDater,
// storage.ObjectIDs, storage.Replacer, storage.TextIndex and storage.Sequencer.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// Options of a store. The zero value is usable.
type Options struct {
	FS           vfs.FS            // where everything is kept; nil: the disk
	Mailboxes    []storage.Default // made with every new account, besides INBOX; nil: storage.Defaults
	Logger       *slog.Logger      // nil: slog.Default()
	SegmentSize  int64             // octets of a segment of the log, see engine.Options; 0: 256 MiB
	Locations    []Location        // where the segments stand, see engine.Options; empty: in the directory "log" of the store's
	Reserve      int64             // octets of free space below which a disk takes no new messages, see engine.Options; 0: 64 MiB; negative: none
	NoCompaction bool              // space of deleted messages is given back only when somebody calls Compact of the engine
	Rows         int               // messages whose flags, dates and sizes are kept in memory, about 40 octets each; 0: a million
	States       int               // mailboxes and accounts whose state is kept in memory, about 200 octets each; 0: 50,000
	Limits       message.Limits    // of the part indexes that the store makes

	// Settings returns what the accounts of a domain have in common. It is
	// called often and by many, so it must answer from memory; what it answers
	// may change while the store is open. nil: the zero Settings for all.
	Settings func(domain string) storage.Settings

	// Notice is called when an account has reached a threshold of its quota,
	// when that is durable, at most once for each time and by one goroutine at
	// a time. It may use the store and should not take long: Close waits for it
	// and must not be called by it. nil: nobody is told.
	Notice func(storage.Notice)

	Now func() time.Time // the clock of save dates, retention and purging; nil: time.Now

	Text Text // the index of words, for text searches

	Rebuild bool                 // make the index again from the log, see engine.Options
	Salvage func(*engine.Damage) // what to do when the log is damaged, see engine.Options; nil: refuse to open
}

// Location is a directory that holds segments of the log: several of them, on
// several disks, make one store.
type Location = engine.Location

const (
	defaultRows   = 1 << 20
	defaultStates = 50_000
)

// Store is an open mail store. Make one with Open.
type Store struct {
	e        *engine.Engine
	log      *slog.Logger
	options  Options
	closed   atomic.Bool
	tables   *tables
	watch    watch
	recent   [64]sync.Mutex // by mailbox: who takes \Recent
	purger   *purger
	held     *held
	notices  *notices // nil: nobody is told
	texts    *texts   // nil: no index of words is kept
	frozen   frozen
	arriving arriving

	// mu guards lives and the states in them. The committer alone puts them in,
	// since whoever else reads one may be late with it. What has changes that
	// are pending is not forgotten.
	mu    sync.RWMutex
	lives cache[storage.MailboxID, *live]

	// The committer's alone: Build, Undo and Done use them.
	pending  pending
	users    cache[string, *known]
	latest   *live // that somebody asked for
	tails    tails
	counters counters
	key      []byte // scratch space for keys and values
	value    []byte
}

var (
	_ storage.Store       = (*Store)(nil)
	_ storage.Remover     = (*Store)(nil)
	_ storage.RoomChecker = (*Store)(nil)
	_ storage.Freezer     = (*Store)(nil)
	_ storage.Purger      = (*Store)(nil)
	_ storage.Watcher     = (*Store)(nil)
	_ storage.Account     = (*account)(nil)
	_ storage.Quotas      = (*account)(nil)
	_ storage.Retainer    = (*account)(nil)
	_ storage.Mailbox     = (*mailbox)(nil)
	_ storage.Recenter    = (*mailbox)(nil)
	_ storage.SaveDater   = (*mailbox)(nil)
	_ storage.ObjectIDs   = (*mailbox)(nil)
	_ storage.Replacer    = (*mailbox)(nil)
	_ storage.TextIndex   = (*mailbox)(nil)
	_ storage.Sequencer   = (*mailbox)(nil)
)

// Open opens the store in dir, which is made when it does not exist (but not
// its parents). Only one process at a time can have it open:
// engine.ErrLocked. engine.ErrDamaged when the log has a hole, and
// engine.ErrLocation when a location is not what it was.
func Open(dir string, o Options) (*Store, error) {
	if o.Mailboxes == nil {
		o.Mailboxes = storage.Defaults()
	}
	if o.Rows <= 0 {
		o.Rows = defaultRows
	}
	if o.States <= 0 {
		o.States = defaultStates
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Settings == nil {
		o.Settings = func(string) storage.Settings { return storage.Settings{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := storage.CheckDefaults(o.Mailboxes); err != nil {
		return nil, err
	}
	e, err := engine.Open(dir, engine.Options{
		FS: o.FS, SegmentSize: o.SegmentSize, Locations: o.Locations, Reserve: o.Reserve,
		NoCompaction: o.NoCompaction, Logger: o.Logger,
		Caches: string([]byte{keyIndex, keyRecent}), Rebuild: o.Rebuild, Salvage: o.Salvage,
	})
	if err != nil {
		return nil, err
	}
	s := &Store{e: e, log: o.Logger, options: o, held: newHeld(o.States)}
	s.pending = newPending(s.held)
	s.tables = newTables(o.Rows, s.loadTable)
	s.lives = newCache[storage.MailboxID, *live](o.States)
	s.users = newCache[string, *known](o.States)
	if s.counters, err = loadCounters(e); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := s.loadFrozen(context.Background()); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := s.completeShares(context.Background()); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if o.Notice != nil {
		s.notices = startNotices(s)
		s.held.reached = s.notices.look
	}
	s.purger = startPurger(s)
	s.texts = newTexts(s, dir)
	return s, nil
}

// loadCounters reads what was given out last.
func loadCounters(e *engine.Engine) (counters, error) {
	b, ok, err := e.Get([]byte{keyCounters})
	if err != nil {
		return counters{}, err
	}
	if c, err := parseCounters(b); ok && err == nil {
		return c, nil
	}
	c := counters{mailbox: newOrigin()}
	if c.validity = firstValidity(); !ok {
		err = e.Scan(context.Background(), []byte{keyAccount}, []byte{keyAccount + 1}, func(_, _ []byte) error { return errEnough })
		if err != errEnough {
			return c, err
		}
	}
	// It is damaged, which a check reports. The store goes on safely without.
	snap := e.Snapshot()
	defer snap.Close()
	return lostCounters(moment{snap, context.Background()})
}

// firstValidity begins with the time, so that a store that was made anew does
// not repeat the UIDVALIDITY of an old one.
func firstValidity() uint32 { return uint32(min(time.Now().Unix(), math.MaxUint32/2)) }

// Close waits for changes under way, refuses all further work with
// storage.ErrClosed and brings everything to disk. Contents that are open stay
// readable until they are closed. A second Close does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.purger.stop()
	s.notices.stop()
	s.texts.stop()
	return s.e.Close()
}

// Engine returns the log and index of the store, for a queue that shares them.
func (s *Store) Engine() *engine.Engine { return s.e }

// ready is what every method asks first.
func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return storage.ErrClosed
	}
	return ctx.Err()
}

// failure turns an error of the engine into one that storage promises.
func failure(err error) error {
	switch {
	case err == nil, err == errNothing:
		return nil
	case errors.Is(err, engine.ErrClosed):
		return storage.ErrClosed
	case errors.Is(err, engine.ErrTooLarge):
		return fmt.Errorf("%w: %w", storage.ErrLimit, err)
	}
	return err
}
