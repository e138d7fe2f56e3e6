package enginetest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Step is one step that changes a Disk.
type Step struct {
	Kind string // write, truncate, sync, syncdir, create, mkdir, link, rename or remove
	Name string // what is changed; the new name of what is linked or renamed
}

// Disk is a file system in memory on which every step can fail and whose power
// can be cut at any moment: it knows of each write and each change of a name
// whether it was synced. See Cut and Copy.
type Disk struct {
	// Before, when it is not nil, is called ahead of every step. Its error is
	// the step's, which then is not done; only of a write the first half is. It
	// must not change while the disk is in use.
	Before func(Step) error

	mu    sync.RWMutex
	root  *node
	locks map[string]bool
}

var _ vfs.FS = (*Disk)(nil)

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{root: newDir()} }

// node is a file or a directory.
type node struct {
	dir bool

	data   []byte  // of a file as everybody sees it
	synced []byte  // the same without writes
	writes []write // those that were not synced

	names       map[string]*node // of a directory as everybody sees it
	syncedNames map[string]*node // the same without changes
	changes     []change         // those that were not synced
}

func newDir() *node {
	return &node{dir: true, names: make(map[string]*node), syncedNames: make(map[string]*node)}
}

// change is one of a directory: name means node from now on, and from nothing.
type change struct {
	name string
	node *node  // nil: name means nothing
	from string // "": not renamed
}

func (c change) apply(names map[string]*node) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.node == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.node
	}
}

func (n *node) change(c change) {
	c.apply(n.names)
	n.changes = append(n.changes, c)
}

// do makes a step.
func (d *Disk) do(kind, name string, f func() error) error {
	if d.Before != nil {
		if err := d.Before(Step{kind, name}); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

// dirOf finds the directory that a name is in. d.mu is held.
func (d *Disk) dirOf(name string) (dir *node, base string, err error) {
	dir = d.root
	clean := strings.Trim(path.Clean("/"+name), "/")
	for {
		first, rest, more := strings.Cut(clean, "/")
		if !more {
			return dir, clean, nil
		}
		next := dir.names[first]
		if next == nil || !next.dir {
			return nil, "", notThere("open", name)
		}
		dir, clean = next, rest
	}
}

// find finds what a name means. d.mu is held.
func (d *Disk) find(name string) (*node, error) {
	dir, base, err := d.dirOf(name)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return dir, nil
	}
	if n := dir.names[base]; n != nil {
		return n, nil
	}
	return nil, notThere("open", name)
}

func notThere(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// put makes a name mean a new file.
func (d *Disk) put(name string) (n *node, err error) {
	dir, base, err := d.dirOf(name)
	if err == nil {
		n = new(node)
		dir.change(change{name: base, node: n})
	}
	return n, err
}

// Create makes a file, another one if there is one.
func (d *Disk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f := &diskFile{d: d, name: name}
	err := d.do("create", name, func() (err error) { f.n, err = d.put(name); return err })
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenReadWrite opens a file, which is made if it is not there.
func (d *Disk) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	f := &diskFile{d: d, name: name}
	err := d.do("create", name, func() (err error) {
		if f.n, err = d.find(name); errors.Is(err, fs.ErrNotExist) {
			f.n, err = d.put(name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a file for reading.
func (d *Disk) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{d: d, name: name, n: n}, nil
}

// OpenDir opens a directory for syncing.
func (d *Disk) OpenDir(name string) (vfs.File, error) { return d.Open(name) }

// Link gives a file one more name.
func (d *Disk) Link(from, to string) error {
	return d.do("link", to, func() error {
		n, err := d.find(from)
		if err != nil {
			return err
		}
		dir, base, err := d.dirOf(to)
		if err == nil && dir.names[base] != nil {
			err = &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
		}
		if err == nil {
			dir.change(change{name: base, node: n})
		}
		return err
	})
}

// Rename gives a file another name.
func (d *Disk) Rename(from, to string) error {
	return d.do("rename", to, func() error {
		source, was, err := d.dirOf(from)
		if err != nil {
			return err
		}
		n := source.names[was]
		if n == nil {
			return notThere("rename", from)
		}
		dir, base, err := d.dirOf(to)
		switch {
		case err != nil:
			return err
		case dir == source && base == was:
		case dir == source:
			dir.change(change{name: base, node: n, from: was})
		default:
			dir.change(change{name: base, node: n})
			source.change(change{name: was})
		}
		return nil
	})
}

// ReuseForWrite renames a file and opens it.
func (d *Disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.OpenReadWrite(to, c)
}

// Remove removes a file or an empty directory.
func (d *Disk) Remove(name string) error {
	return d.do("remove", name, func() error {
		dir, base, err := d.dirOf(name)
		if err != nil {
			return err
		}
		switch n := dir.names[base]; {
		case n == nil:
			return notThere("remove", name)
		case len(n.names) > 0:
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory is not empty")}
		}
		dir.change(change{name: base})
		return nil
	})
}

// RemoveAll removes a file or directory with all in it, one after the other.
func (d *Disk) RemoveAll(name string) error {
	d.mu.RLock()
	n, err := d.find(name)
	var names []string
	if err == nil {
		names = slices.Sorted(maps.Keys(n.names))
	}
	d.mu.RUnlock()
	for _, child := range names {
		if err := d.RemoveAll(path.Join(name, child)); err != nil {
			return err
		}
	}
	if err == nil {
		err = d.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// MkdirAll makes a directory and those above it.
func (d *Disk) MkdirAll(name string, mode os.FileMode) error {
	d.mu.RLock()
	n, err := d.find(name)
	d.mu.RUnlock()
	switch {
	case err == nil && n.dir:
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: name, Err: errors.New("not a directory")}
	}
	if err := d.MkdirAll(path.Dir(path.Clean("/"+name)), mode); err != nil {
		return err
	}
	return d.do("mkdir", name, func() error {
		dir, base, err := d.dirOf(name)
		if err == nil && dir.names[base] == nil {
			dir.change(change{name: base, node: newDir()})
		}
		return err
	})
}

// Lock takes a lock, which needs no file.
func (d *Disk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, _, err := d.dirOf(name); err != nil {
		return nil, err
	}
	if d.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: syscall.EAGAIN}
	}
	if d.locks == nil {
		d.locks = make(map[string]bool)
	}
	d.locks[name] = true
	return &diskLock{d, name}, nil
}

type diskLock struct {
	d    *Disk
	name string
}

func (l *diskLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	delete(l.d.locks, l.name)
	return nil
}

// List returns the names in a directory.
func (d *Disk) List(name string) ([]string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// Stat describes a file or directory.
func (d *Disk) Stat(name string) (vfs.FileInfo, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// PathBase is that of all file systems in memory, as the other two are.
func (*Disk) PathBase(p string) string { return path.Base(p) }

// PathJoin joins parts of a path.
func (*Disk) PathJoin(parts ...string) string { return path.Join(parts...) }

// PathDir returns the directory of a path.
func (*Disk) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage says that nobody knows.
func (*Disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// Unwrap returns nil: there is nothing below.
func (*Disk) Unwrap() vfs.FS { return nil }
