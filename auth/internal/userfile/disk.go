package userfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// fileMode lets nobody else read what is a secret.
const fileMode = 0o600

// disk is the file system. step is called before each thing that is done to
// it, and fails it; nil: it does not.
type disk struct {
	step func() error
}

func (d disk) before() error {
	if d.step == nil {
		return nil
	}
	return d.step()
}

// replace gives a file new content, durably: all of it or none. replaced is
// true when an error came so late that the new content may be there.
func (d disk) replace(path string, content []byte) (replaced bool, err error) {
	temporary := path + ".new"
	if err := d.create(temporary, content); err != nil {
		return false, err
	}
	if err := d.before(); err != nil {
		return false, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return false, err
	}
	return true, d.syncDir(filepath.Dir(path))
}

// create writes a file and syncs it.
func (d disk) create(path string, content []byte) error {
	if err := d.before(); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	if err = d.before(); err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = d.before()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a directory durable.
func (d disk) syncDir(path string) error {
	if err := d.before(); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// lock locks a file against other processes. ErrLocked.
func (d disk) lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
