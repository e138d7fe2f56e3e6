package enginetest

import (
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// CountFS counts the octets that are written to the files of a file system.
type CountFS struct {
	vfs.FS
	Written atomic.Int64
}

// Create makes a file whose writes are counted.
func (c *CountFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	return c.wrap(f, err)
}

// OpenReadWrite opens a file whose writes are counted.
func (c *CountFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.FS.OpenReadWrite(name, category, o...)
	return c.wrap(f, err)
}

// ReuseForWrite renames a file whose writes are counted.
func (c *CountFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, category)
	return c.wrap(f, err)
}

// Unwrap returns the file system below.
func (c *CountFS) Unwrap() vfs.FS { return c.FS }

func (c *CountFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countFile{f, c}, nil
}

type countFile struct {
	vfs.File
	c *CountFS
}

func (f *countFile) Write(p []byte) (n int, err error) {
	n, err = f.File.Write(p)
	f.c.Written.Add(int64(n))
	return n, err
}

func (f *countFile) WriteAt(p []byte, off int64) (n int, err error) {
	n, err = f.File.WriteAt(p, off)
	f.c.Written.Add(int64(n))
	return n, err
}

// DiskOctets returns the octets of all files in dir and below. A file that goes
// meanwhile counts nothing.
func DiskOctets(files vfs.FS, dir string) (octets int64, err error) {
	names, err := files.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		path := files.PathJoin(dir, name)
		info, err := files.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n := info.Size()
		if info.IsDir() {
			if n, err = DiskOctets(files, path); err != nil {
				return 0, err
			}
		}
		octets += n
	}
	return octets, nil
}
