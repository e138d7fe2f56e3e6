package engine

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of an engine. The zero value is usable.
type Options struct {
	FS           vfs.FS       // where everything is kept; nil: the disk
	SegmentSize  int64        // octets after which a new segment begins; 0: 256 MiB; at most 1 GiB
	Reserve      int64        // octets of free space below which a disk takes no new bodies (when none does, they are refused with ErrNoSpace); 0: 64 MiB; negative: none
	Locations    []Location   // where segments stand, in the order in which they are filled; empty: in the directory "log" of the engine's
	NoCompaction bool         // segments are emptied only when somebody calls Compact
	Logger       *slog.Logger // nil: slog.Default()
	Caches       string       // each octet begins keys that hold caches (see Tx.Cache): they are not part of checkpoints

	// Rebuild puts the index aside, as "index.old" in the engine's directory,
	// and makes it again from the log. That loses nothing but caches. When Open
	// fails the index is what it was.
	Rebuild bool

	// Salvage makes Open go on where it would fail with ErrDamaged because of the
	// log: it is told of each damage, and what was there is lost. When a
	// checkpoint is damaged, what was removed since it was made may come back.
	Salvage func(*Damage)

	memTable uint64        // octets of index that gather before they are flushed; 0: 8 MiB
	pause    time.Duration // after a failed flush, before it is tried again; 0: 100 ms
	settle   time.Duration // from a change that leaves something dead until compaction looks; 0: a second
	fatal    func(string)  // never returns; called when the index can't go on
}

const (
	defaultSegment = 256 << 20
	maxSegment     = 1 << 30
	defaultReserve = 64 << 20
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = defaultSegment
	}
	o.SegmentSize = min(o.SegmentSize, maxSegment)
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.memTable == 0 {
		o.memTable = indexMemTable
	}
	if o.pause == 0 {
		o.pause = indexPause
	}
	if o.settle == 0 {
		o.settle = compactSettle
	}
	if o.fatal == nil {
		o.fatal = func(text string) { panic(text) }
	}
	return o
}
