//go:build !linux

package transfer

import (
	"errors"
	"os"
	"path/filepath"
)

// syncAll makes many new files of one directory durable.
func syncAll(dir string, names []string) error {
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return syncDir(dir)
}
