// Package hotfile reads a file again while what was last read of it is in use.
package hotfile

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what files of some kind are.
type Kind[T any] struct {
	Name string                      // in errors and logs: "user map"
	Read func(io.Reader) (*T, error) // what is in a file; its errors name bad lines
	Size func(*T) int                // how many lines that were, for the log
}

// File is what was last read of a file without an error. Load takes no lock.
type File[T any] struct {
	path    string
	kind    Kind[T]
	content atomic.Pointer[T]

	mu   sync.Mutex // one Reload at a time
	seen version    // of the file, good or bad
}

// version tells whether a file changed.
type version struct {
	info fs.FileInfo // nil: none
	read time.Time   // before info was asked for
}

// Open reads a file. It starts nothing: call Reload when the file has changed,
// or let Watch do it.
func Open[T any](path string, kind Kind[T]) (*File[T], error) {
	f := &File[T]{path: path, kind: kind}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Load returns the last good content.
func (f *File[T]) Load() *T { return f.content.Load() }

// Reload reads the file again. After an error, which names the file, the last
// good content stays.
func (f *File[T]) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

func (f *File[T]) reload() error {
	in, err := os.Open(f.path)
	if err != nil {
		f.seen = version{}
		return fmt.Errorf("%s: %w", f.kind.Name, err)
	}
	defer in.Close()
	v := version{read: time.Now()}
	if v.info, err = in.Stat(); err != nil {
		return fmt.Errorf("%s: %w", f.kind.Name, err)
	}
	f.seen = v
	content, err := f.kind.Read(in)
	if err != nil {
		return fmt.Errorf("%s %s: %w", f.kind.Name, f.path, err)
	}
	f.content.Store(content)
	return nil
}

// Watch looks at the file every so often, reads it again when it has changed,
// and logs what came of it: each bad state of the file once. It returns when
// ctx ends. A nil logger is slog.Default.
func (f *File[T]) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
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
			log.ErrorContext(ctx, f.kind.Name+" not reloaded, the last good one stays", "err", err)
		case err == nil && changed:
			told = ""
			log.InfoContext(ctx, f.kind.Name+" reloaded", "file", f.path, "lines", f.kind.Size(f.Load()))
		}
	}
}

func (f *File[T]) reloadIfChanged() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		if f.seen.info == nil {
			return false, nil // told already
		}
		f.seen = version{}
		return false, fmt.Errorf("%s: %w", f.kind.Name, err)
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
