package engine

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
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
	mu        sync.RWMutex      // held for writing while the disk stands still
	synced    sync.Map          // names of files that were synced
}

func (h *hookFS) do(kind, name string, f func() error) error {
	if err := h.before(op{kind, name}); err != nil {
		return err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if kind == "sync" {
		h.synced.Store(name, true)
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

// killed returns the disk as it is when a process is killed but the machine
// goes on: everything written is there, and what was not synced is still not.
// No step may be under way.
func killed(t testing.TB, h *hookFS, fs *vfs.MemFS) *vfs.MemFS {
	durable := fs.CrashClone(vfs.CrashCloneCfg{})
	all := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rngOf(0)})
	copyUnsynced(t, h, durable, all, "/")
	return durable
}

// copyUnsynced makes dir of to like that of from, without syncing anything.
func copyUnsynced(t testing.TB, h *hookFS, to, from *vfs.MemFS, dir string) {
	names, err := from.List(dir)
	require.NoError(t, err)
	there := make(map[string]bool)
	for _, name := range names {
		there[name] = true
		path := from.PathJoin(dir, name)
		info, err := from.Stat(path)
		require.NoError(t, err)
		if info.IsDir() {
			require.NoError(t, to.MkdirAll(path, 0o700))
			copyUnsynced(t, h, to, from, path)
			continue
		}
		copyFile(t, h, to, from, path)
	}
	names, err = to.List(dir)
	require.NoError(t, err)
	for _, name := range names {
		if !there[name] {
			require.NoError(t, to.RemoveAll(to.PathJoin(dir, name)))
		}
	}
}

func copyFile(t testing.TB, h *hookFS, to, from *vfs.MemFS, path string) {
	r, err := from.Open(path)
	require.NoError(t, err)
	defer r.Close()
	octets, err := io.ReadAll(r)
	require.NoError(t, err)
	w, err := to.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	defer w.Close()
	stat, err := w.Stat()
	require.NoError(t, err)
	if len(octets) > 0 {
		_, err = w.WriteAt(octets, 0)
		require.NoError(t, err)
	}
	// A new file whose name is not durable may have been synced itself.
	if _, synced := h.synced.Load(strings.TrimPrefix(path, "/")); synced && stat.Size() == 0 {
		require.NoError(t, w.Sync())
	}
}

// after calls f once, ahead of the n-th step from now on.
type after struct {
	left atomic.Int64
	f    func()
}

func (a *after) step() {
	if a.left.Add(-1) == 0 {
		a.f()
	}
}
