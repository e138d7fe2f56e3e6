package mapping

import (
	"context"
	"log/slog"
	"time"

	"github.com/posthouse-mail/posthouse/internal/hotfile"
)

// File is a Mapper over a file map (see ReadTable) that can be read again
// while it is in use. A map with a bad line is never used: the last good one
// stays. Lookups take no lock.
type File struct {
	file *hotfile.File[Table]
}

// OpenFile reads a file map. It starts nothing: call Reload when the file has
// changed, or let Watch do it.
func OpenFile(path string) (*File, error) {
	f, err := hotfile.Open(path, hotfile.Kind[Table]{Name: "user map", Read: ReadTable, Size: (*Table).Len})
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Map looks a user up in the last good map.
func (f *File) Map(ctx context.Context, user string) (Route, error) {
	return f.Table().Map(ctx, user)
}

// Table returns the last good map.
func (f *File) Table() *Table { return f.file.Load() }

// Reload reads the file again. After an error, which names the file and the
// bad lines (LineError), the last good map stays in use.
func (f *File) Reload() error { return f.file.Reload() }

// Watch looks at the file every so often, reads it again when it has changed,
// and logs what came of it: each bad state of the file once. It returns when
// ctx ends. A nil logger is slog.Default.
func (f *File) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	f.file.Watch(ctx, every, log)
}
