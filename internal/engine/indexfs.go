package engine

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexFS is the file system as the index sees it. The index names its list of
// files in a marker; that the list itself has a durable name by then is left
// to the file system's order of things, which not every one keeps.
type indexFS struct{ vfs.FS }

// Create makes everything durable that a marker could point to, first.
func (fs indexFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(fs.PathBase(name), "marker.manifest.") {
		if err := syncDir(fs.FS, fs.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return fs.FS.Create(name, c)
}

// Unwrap returns the file system below.
func (fs indexFS) Unwrap() vfs.FS { return fs.FS }
