// Package datadir holds the data directories of the example programs.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse says that another process has the data directory open.
var ErrInUse = errors.New("the data directory is in use")

// Dir is a data directory held by this process alone.
type Dir struct {
	path string
	lock *os.File
}

// Lock makes the directory if need be and takes its lock, or returns ErrInUse.
// The lock goes with the process, however it ends.
func Lock(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, path)
		}
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	return &Dir{path, f}, nil
}

// File returns the path of what is in the directory.
func (d *Dir) File(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }
