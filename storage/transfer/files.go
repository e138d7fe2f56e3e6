package transfer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	dirMode  = 0o700
	fileMode = 0o600 // mail is for its owner
)

// files changes what is on disk. Its step, if any, is asked before each change.
type files struct{ step func() error }

func (f files) before() error {
	if f.step == nil {
		return nil
	}
	return f.step()
}

// mkdir makes a directory and its parents, durably.
func (f files) mkdir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := f.mkdir(parent); err != nil {
			return err
		}
	}
	if err := f.before(); err != nil {
		return err
	}
	if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// replace gives a file new content: all of it or none.
func (f files) replace(path string, content []byte) error {
	if err := f.before(); err != nil {
		return err
	}
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := f.rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (f files) rename(from, to string) error {
	if err := f.before(); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (f files) remove(path string) error {
	if err := f.before(); err != nil {
		return err
	}
	return os.Remove(path)
}

func (f files) create(path string) (*os.File, error) {
	if err := f.before(); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
}

// sync makes a file durable.
func (f files) sync(file *os.File) error {
	if err := f.before(); err != nil {
		return err
	}
	return file.Sync()
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock takes the lock of a file or directory until it is closed, or returns
// ErrBusy. It goes with the process, however that ends.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s", ErrBusy, f.Name())
	}
	return err
}
