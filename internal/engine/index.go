package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// The engine's own keys.
const (
	keyPosition = "!pos" // up to where the log is applied
	keyBlob     = "!b"   // BlobID: where a body is, and its count
	keySegment  = "!g"   // segment: what is in it
	keyFormat   = "!format"
)

// afterBlobs is the first key after those of all bodies.
var afterBlobs = []byte{keyBlob[0], keyBlob[1] + 1}

// formatVersion is the layout of segments and of the engine's keys.
//
//	2 segments before the last checkpoint only are removed
const formatVersion = 2

const (
	indexMemTable = 8 << 20  // octets that gather before they are flushed
	indexCache    = 48 << 20 // octets of blocks kept in memory
	indexPause    = 100 * time.Millisecond

	// indexUnmerged is how many tables that overlap may wait to be merged before
	// changes wait as well. So many there are only when one of them is damaged
	// and can't be merged any more, which must not stop everybody.
	indexUnmerged = 1000
)

// indexOptions are for an index without a log of its own: what was not
// flushed before a crash is applied from the segments again. Flushes happen
// in the order of commits, so what is on disk always is a prefix of them.
func (e *Engine) indexOptions(cache *pebble.Cache, s *scheduler) *pebble.Options {
	o := &pebble.Options{
		FS:                          indexFS{e.fs},
		Cache:                       cache,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                e.options.memTable,
		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       indexUnmerged,
		MaxOpenFiles:                1000,
		Logger:                      indexLog{e},
		EventListener: &pebble.EventListener{
			FlushEnd:        func(pebble.FlushInfo) { e.janitor.wake() },
			BackgroundError: e.indexError,
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				e.log.Error("mail index is damaged", "file", info.Path, "error", info.Details)
			},
		},
	}
	o.Experimental.CompactionScheduler = s
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// openIndex opens the index in dir. The library panics where a directory can't
// be synced; before anything is open, that is an error like others.
func (e *Engine) openIndex(dir string) (err error) {
	cache := pebble.NewCache(indexCache)
	defer cache.Unref()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("engine: opening the index: %v", r)
			if cause, ok := r.(error); ok {
				err = fmt.Errorf("engine: opening the index: %w", cause)
			}
		}
	}()
	s := newScheduler()
	e.db, err = pebble.Open(dir, e.indexOptions(cache, s))
	s.open.Store(err == nil)
	return openFailure(err)
}

// openFailure is indexFailure for opening: what the library can't make sense
// of, and a file that it looks for in vain, are damage as well. What the system
// says of files that are there is not.
func openFailure(err error) error {
	err = indexFailure(err)
	var system syscall.Errno
	if err == nil || errors.Is(err, ErrDamaged) || errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(&Damage{What: err.Error()}, err)
}

// indexError hears of every failed flush or compaction, which the index will
// try again at once; the pause keeps a full disk from becoming a busy loop.
func (e *Engine) indexError(err error) {
	e.log.Error("mail index could not be written; trying again", "error", err)
	e.janitor.flushFailed()
	time.Sleep(e.options.pause)
}

// indexLog passes on what the index logs.
type indexLog struct{ e *Engine }

func (l indexLog) Infof(format string, args ...any) {
	l.e.log.Debug("mail index", "text", lazyText{format, args})
}

func (l indexLog) Errorf(format string, args ...any) {
	l.e.log.Error("mail index", "text", lazyText{format, args})
}

// Fatalf is called when the index's list of files could not be written, and
// must not return. The index in memory and on disk may differ then, and every
// further step could spoil what is on disk; the process ends, and the next
// Open applies the log to what is there.
func (l indexLog) Fatalf(format string, args ...any) {
	l.e.log.Error("mail index can't go on", "text", lazyText{format, args})
	l.e.options.fatal(fmt.Sprintf("engine: "+format, args...))
}

type lazyText struct {
	format string
	args   []any
}

func (t lazyText) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf(t.format, t.args...)) }

func checkKey(key []byte) error {
	if len(key) == 0 || reserved(key) {
		return ErrBadKey
	}
	return nil
}

func reserved(key []byte) bool { return len(key) > 0 && key[0] == '!' }

// afterReserved is the first key after all reserved ones.
var afterReserved = []byte{'!' + 1}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, indexFailure(err)
	}
	v = bytes.Clone(v)
	return v, true, closer.Close()
}

// getKey is get for callers' keys.
func getKey(r pebble.Reader, key []byte) ([]byte, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	return get(r, key)
}

// scan calls f for all callers' keys in [from, to).
func scan(ctx context.Context, r pebble.Reader, from, to []byte, f func(key, value []byte) error) (err error) {
	it, err := r.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return indexFailure(err)
	}
	defer func() {
		if closing := it.Close(); err == nil {
			err = indexFailure(closing)
		}
	}()
	ok := it.First()
	for n := 1; ok; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if reserved(it.Key()) {
			ok = it.SeekGE(afterReserved)
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return indexFailure(err)
		}
		if err := f(it.Key(), value); err != nil {
			return err
		}
		ok = it.Next()
	}
	return nil
}

// indexFailure gives damage of the index its kind.
func indexFailure(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return errors.Join(&Damage{What: err.Error()}, err)
	}
	return err
}

// position is a place in the log.
type position struct {
	segment uint32
	off     int64
}

func (p position) value() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, p.segment), uint64(p.off))
}

func parsePosition(v []byte) (position, error) {
	if len(v) != 12 {
		return position{}, &Damage{What: "position in the log"}
	}
	return position{binary.BigEndian.Uint32(v), int64(binary.BigEndian.Uint64(v[4:]))}, nil
}

// flushedPosition is up to where the log is applied in what is on disk.
func flushedPosition(db *pebble.DB) (p position, err error) {
	it, err := db.NewIter(&pebble.IterOptions{
		LowerBound: []byte(keyPosition), UpperBound: []byte(keyPosition + "\x00"),
		OnlyReadGuaranteedDurable: true,
	})
	if err != nil {
		return p, err
	}
	if it.First() {
		p, err = parsePosition(it.Value())
	}
	return p, errors.Join(err, it.Close())
}

// checkFormat refuses a directory of a later version, and marks a new one.
func checkFormat(db *pebble.DB) error {
	v, ok, err := get(db, []byte(keyFormat))
	switch {
	case err != nil:
		return err
	case ok && (len(v) != 1 || v[0] > formatVersion):
		return fmt.Errorf("engine: directory has format %d, this program knows up to %d", v, formatVersion)
	case ok && v[0] == formatVersion:
		return nil
	}
	return db.Set([]byte(keyFormat), []byte{formatVersion}, pebble.NoSync)
}
