package engine

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// op is one step that changes a file system.
type op struct {
	kind string // write, sync, syncdir, create, remove, rename, truncate
	name string
}

func (o op) segment() bool { return strings.HasSuffix(o.name, segmentSuffix) }

// hookFS calls before ahead of every step that changes the file system below.
// An error of before is the step's, which then is not done. shorten says how
// many octets of a write are done all the same.
type hookFS struct {
	vfs.FS
	before    func(op) error
	partly    func(op, int) int // nil: none
	truncates bool              // files can be truncated, although the one below can't
}

func (h *hookFS) do(kind, name string, f func() error) error {
	if err := h.before(op{kind, name}); err != nil {
		return err
	}
	return f()
}

func (h *hookFS) wrap(f vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	h2 := &hookFile{File: f, fs: h, name: name}
	if t, ok := f.(truncater); ok {
		return &hookTruncateFile{h2, t}, nil
	}
	if h.truncates {
		return &hookTruncateFile{h2, zeroing{f}}, nil
	}
	return h2, nil
}

func (h *hookFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = h.do("create", name, func() error { f, err = h.FS.Create(name, c); return err })
	return h.wrap(f, err, name)
}

func (h *hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (f vfs.File, err error) {
	err = h.do("create", name, func() error { f, err = h.FS.OpenReadWrite(name, c, o...); return err })
	return h.wrap(f, err, name)
}

func (h *hookFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = h.do("rename", to, func() error { f, err = h.FS.ReuseForWrite(from, to, c); return err })
	return h.wrap(f, err, to)
}

func (h *hookFS) OpenDir(name string) (vfs.File, error) {
	f, err := h.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &hookDir{f, h, name}, nil
}

func (h *hookFS) Remove(name string) error {
	return h.do("remove", name, func() error { return h.FS.Remove(name) })
}

func (h *hookFS) Rename(from, to string) error {
	return h.do("rename", to, func() error { return h.FS.Rename(from, to) })
}

func (h *hookFS) Unwrap() vfs.FS { return h.FS }

type truncater interface{ Truncate(size int64) error }

type hookFile struct {
	vfs.File
	fs   *hookFS
	name string
}

func (f *hookFile) Write(p []byte) (n int, err error) {
	return f.write(p, f.File.Write)
}

func (f *hookFile) WriteAt(p []byte, off int64) (n int, err error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *hookFile) write(p []byte, write func([]byte) (int, error)) (n int, err error) {
	err = f.fs.do("write", f.name, func() error { n, err = write(p); return err })
	if err != nil && f.fs.partly != nil {
		if k := f.fs.partly(op{"write", f.name}, len(p)); k > 0 {
			n, _ = write(p[:k])
		}
	}
	return n, err
}

func (f *hookFile) Sync() error     { return f.fs.do("sync", f.name, f.File.Sync) }
func (f *hookFile) SyncData() error { return f.fs.do("sync", f.name, f.File.SyncData) }

type hookTruncateFile struct {
	*hookFile
	t truncater
}

func (f *hookTruncateFile) Truncate(size int64) error {
	return f.fs.do("truncate", f.name, func() error { return f.t.Truncate(size) })
}

// zeroing stands in for a truncation that the file below does not know. Only
// what it returns is looked at, and that what was cut is gone.
type zeroing struct{ f vfs.File }

func (z zeroing) Truncate(size int64) error {
	info, err := z.f.Stat()
	if err != nil || info.Size() <= size {
		return err
	}
	_, err = z.f.WriteAt(make([]byte, info.Size()-size), size)
	return err
}

type hookDir struct {
	vfs.File
	fs   *hookFS
	name string
}

func (d *hookDir) Sync() error { return d.fs.do("syncdir", d.name, d.File.Sync) }
