package enginetest

import (
	"fmt"
	"path"
	"strings"
	"sync/atomic"
)

// Fail lets the n-th step from now on, counted from 1, fail with err, and as
// many after it as to make count. It replaces Before. passed returns how many
// steps there were.
//
// Steps whose failure ends the process are passed over and not counted: the
// index has a list of files, and when that can't be written nobody can say any
// more what the index is.
func (d *Disk) Fail(n, count int64, err error) (passed func() int64) {
	var steps atomic.Int64
	d.Before = func(s Step) error {
		if s.ends() {
			return nil
		}
		if at := steps.Add(1); at < n || at-n >= count {
			return nil
		}
		return fmt.Errorf("%s %s: %w", s.Kind, s.Name, err)
	}
	return steps.Load
}

// ends reports whether a process can't go on when the step fails.
func (s Step) ends() bool {
	base := path.Base(s.Name)
	return strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.") || s.Kind == "syncdir" && base == "index"
}
