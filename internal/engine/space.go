package engine

import "github.com/cockroachdb/pebble/v2/vfs"

// spaceStep is how many octets may be written before free space is looked at
// again.
const spaceStep = 4 << 20

// space watches the free space of the disk: a little is kept for changes that
// remove mail and for the index. The committer alone uses it.
type space struct {
	fs      vfs.FS
	dir     string
	reserve int64
	written func() uint64
	next    uint64 // value of written from which to look again
	isLow   bool
}

// low reports whether only changes without a body should be made.
func (s *space) low() bool {
	if s.reserve < 0 || !s.isLow && s.written() < s.next {
		return false
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	s.next = s.written() + spaceStep
	s.isLow = err == nil && usage.AvailBytes < uint64(s.reserve)
	return s.isLow
}
