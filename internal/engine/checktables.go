package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// checkTables reads the index's tables whole, from the disk: nobody who reads
// all keys meets the filters that stand beside them, and whoever asks for one
// key does.
func (e *Engine) checkTables(ctx context.Context, i *Inspection) error {
	levels, err := e.db.SSTables()
	if err != nil {
		return indexFailure(err)
	}
	for _, tables := range levels {
		for _, t := range tables {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum))
			if err := i.found(e.checkTable(ctx, name)); err != nil {
				return err
			}
			i.progress(int64(t.Size))
		}
	}
	return nil
}

// checkTable compares the checksums of a table. One that is gone was merged
// meanwhile.
func (e *Engine) checkTable(ctx context.Context, name string) error {
	f, err := e.fs.Open(e.fs.PathJoin(e.fs.PathDir(e.logDir), "index", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, file, sstable.ReaderOptions{})
	if err == nil {
		err = errors.Join(r.ValidateBlockChecksums(), r.Close())
	} else {
		err = errors.Join(err, file.Close())
	}
	if err != nil && pebble.IsCorruptionError(err) {
		return &Damage{What: fmt.Sprintf("table %s: %v", name, err)}
	}
	return err
}
