//go:build !linux

package splice

// canSplice reports whether the kernel may move the octets by itself: only
// Linux does.
func (d *direction) canSplice() bool { return false }

func (d *direction) splice() error { return d.copy() }
