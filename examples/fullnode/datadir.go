package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// errInUse says that another process has the data directory open.
var errInUse = errors.New("the data directory is in use")

// dataDir is a data directory held by this process alone.
type dataDir struct {
	path string
	lock *os.File
}

// lockDataDir makes the directory if need be and takes its lock, or returns
// errInUse. The lock goes with the process, however it ends.
func lockDataDir(path string) (*dataDir, error) {
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
			return nil, fmt.Errorf("%w: %s", errInUse, path)
		}
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	return &dataDir{path, f}, nil
}

func (d *dataDir) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

func (d *dataDir) Close() error { return d.lock.Close() }
