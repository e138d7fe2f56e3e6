package enginetest

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// write is one of a file.
type write struct {
	off    int64
	octets []byte
	cut    bool // not a write: the file ends at off from now on
}

// apply returns a file after the write.
func (w write) apply(data []byte) []byte {
	if w.cut {
		return data[:min(int64(len(data)), w.off)]
	}
	if grow := w.off + int64(len(w.octets)) - int64(len(data)); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[w.off:], w.octets)
	return data
}

func (n *node) write(w write) {
	n.data = w.apply(n.data)
	n.writes = append(n.writes, w)
}

// sync makes all that was done to a file or directory durable.
func (n *node) sync() {
	for _, w := range n.writes {
		n.synced = w.apply(n.synced)
	}
	n.writes = nil
	if n.dir && len(n.changes) > 0 {
		n.syncedNames, n.changes = maps.Clone(n.names), nil
	}
}

// diskFile is an open file or directory.
type diskFile struct {
	d    *Disk
	n    *node
	name string
	pos  int64
}

func (f *diskFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *diskFile) ReadAt(p []byte, off int64) (n int, err error) {
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	if off < int64(len(f.n.data)) {
		n = copy(p, f.n.data[off:])
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *diskFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	write := func() error {
		f.n.write(write{off: off, octets: append([]byte(nil), p[:n]...)})
		return nil
	}
	n = len(p)
	if err = f.d.do("write", f.name, write); err != nil {
		n = len(p) / 2
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		_ = write()
	}
	return n, err
}

func (f *diskFile) Truncate(size int64) error {
	return f.d.do("truncate", f.name, func() error { f.n.write(write{off: size, cut: true}); return nil })
}

func (f *diskFile) Sync() error {
	kind := "sync"
	if f.n.dir {
		kind = "syncdir"
	}
	return f.d.do(kind, f.name, func() error { f.n.sync(); return nil })
}

func (f *diskFile) SyncData() error { return f.Sync() }

// SyncTo promises nothing, as the interface allows.
func (f *diskFile) SyncTo(int64) (fullSync bool, err error) { return false, nil }

func (f *diskFile) Close() error                        { return nil }
func (f *diskFile) Preallocate(offset, n int64) error   { return nil }
func (f *diskFile) Prefetch(offset, length int64) error { return nil }
func (f *diskFile) Fd() uintptr                         { return vfs.InvalidFd }

func (f *diskFile) Stat() (vfs.FileInfo, error) {
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	return diskInfo{path.Base(f.name), int64(len(f.n.data)), f.n.dir}, nil
}

// diskInfo describes a file or directory.
type diskInfo struct {
	name string
	size int64
	dir  bool
}

func (i diskInfo) Name() string           { return i.name }
func (i diskInfo) Size() int64            { return i.size }
func (i diskInfo) ModTime() time.Time     { return time.Time{} }
func (i diskInfo) IsDir() bool            { return i.dir }
func (i diskInfo) Sys() any               { return nil }
func (i diskInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i diskInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
