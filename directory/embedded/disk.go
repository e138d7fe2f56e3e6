package embedded

import (
	"errors"
	"io"
	"os"
)

// disk is what the journal needs of a file system.
type disk interface {
	// open opens a file for reading and writing and makes it when there is none.
	open(path string) (file, error)
	rename(from, to string) error
	// syncDir makes the names in a directory durable.
	syncDir(path string) error
	// lock locks a file against other processes. ErrLocked.
	lock(path string) (io.Closer, error)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// osDisk is the disk of the operating system.
type osDisk struct{}

// The directory holds password hashes: nobody else may read it.
const fileMode = 0o600

func (osDisk) open(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
