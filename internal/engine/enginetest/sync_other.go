//go:build !linux

package enginetest

import "os"

func datasync(f *os.File) error { return f.Sync() }
