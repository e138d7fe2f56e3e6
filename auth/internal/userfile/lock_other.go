//go:build !unix

package userfile

import "os"

// lockFile does nothing: one process at a time is for the operator to see to.
func lockFile(*os.File) error { return nil }
