package mapping

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// File is a Mapper over a file map (see ReadTable) that can be read again
// while it is in use. A map with a bad line is never used: the last good one
// stays. Lookups take no lock.
type File struct {
	path  string
	table atomic.Pointer[Table]

	mu   sync.Mutex // one Reload at a time
	seen version    // of the file, good or bad
}

// version tells whether a file changed.
type version struct {
	info fs.FileInfo // nil: none
	read time.Time   // before info was asked for
}

// OpenFile reads a file map. It starts nothing: call Reload when the file has
// changed, or let Watch do it.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Map looks a user up in the last good map.
func (f *File) Map(ctx context.Context, user string) (Route, error) {
	return f.table.Load().Map(ctx, user)
}

// Table returns the last good map.
func (f *File) Table() *Table { return f.table.Load() }

// Reload reads the file again. After an error, which names the file and the
// bad lines (LineError), the last good map stays in use.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

func (f *File) reload() error {
	in, err := os.Open(f.path)
	if err != nil {
		f.seen = version{}
		return fmt.Errorf("user map: %w", err)
	}
	defer in.Close()
	v := version{read: time.Now()}
	if v.info, err = in.Stat(); err != nil {
		return fmt.Errorf("user map: %w", err)
	}
	f.seen = v
	t, err := ReadTable(in)
	if err != nil {
		return fmt.Errorf("user map %s: %w", f.path, err)
	}
	f.table.Store(t)
	return nil
}

// Watch looks at the file every so often, reads it again when it has changed,
// and logs what came of it: each bad state of the file once. It returns when
// ctx ends. A nil logger is slog.Default.
func (f *File) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	if log == nil {
		log = slog.Default()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := f.reloadIfChanged()
		switch {
		case err != nil && err.Error() != told:
			told = err.Error()
			log.ErrorContext(ctx, "user map not reloaded, the last good one stays", "err", err)
		case err == nil && changed:
			told = ""
			log.InfoContext(ctx, "user map reloaded", "file", f.path, "lines", f.Table().Len())
		}
	}
}

func (f *File) reloadIfChanged() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		if f.seen.info == nil {
			return false, nil // told already
		}
		f.seen = version{}
		return false, fmt.Errorf("user map: %w", err)
	}
	if f.seen.is(info) {
		return false, nil
	}
	return true, f.reload()
}

// settled is how long after its last change a file can be told from a later
// change by its times: clocks of file systems are coarse.
const settled = 2 * time.Second

// is reports whether info is of the file as it was read.
func (v version) is(info fs.FileInfo) bool {
	return v.info != nil && os.SameFile(v.info, info) &&
		v.info.Size() == info.Size() && v.info.ModTime().Equal(info.ModTime()) &&
		v.read.Sub(v.info.ModTime()) >= settled
}
