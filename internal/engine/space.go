package engine

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// spaceStep is how many octets may be written before free space is looked at
	// again.
	spaceStep = 4 << 20
	// spaceAvoid is how long a location that had no space, although there seemed
	// to be some, is passed over while another one has room.
	spaceAvoid = time.Minute
)

// space watches the limits of locations and the free space of their disks: a
// little is kept for changes that remove mail and for the index. The committer
// alone uses it.
type space struct {
	fs      vfs.FS
	files   *files
	reserve int64
	written func() uint64
	disks   []disk // one for each location, and then that of the index
}

// disk is what was known of one when it was looked at last.
type disk struct {
	dir   string
	next  uint64 // value of written from which to look again
	isLow bool
	avoid time.Time // until then
}

func newSpace(o Options, dir string, f *files, written func() uint64) space {
	s := space{fs: o.FS, files: f, reserve: o.Reserve, written: written}
	for _, l := range f.locations {
		s.disks = append(s.disks, disk{dir: l.dir})
	}
	s.disks = append(s.disks, disk{dir: dir})
	return s
}

// low reports whether the index's disk has so little space that only changes
// without a body should be made.
func (s *space) low() bool { return s.isLow(len(s.disks) - 1) }

func (s *space) isLow(i int) bool {
	d := &s.disks[i]
	if s.reserve < 0 || !d.isLow && s.written() < d.next {
		return false
	}
	usage, err := s.fs.GetDiskUsage(d.dir)
	d.next = s.written() + spaceStep
	d.isLow = err == nil && usage.AvailBytes < uint64(s.reserve)
	return d.isLow
}

// hasRoom reports whether so many octets may be added to a location's
// segments.
func (s *space) hasRoom(location int, octets int64) bool {
	l := s.files.locations[location]
	if l.readOnly {
		return false
	}
	if _, used := s.files.places.in(location); l.limit > 0 && used+octets > l.limit {
		return false
	}
	return l.own || !s.isLow(location) // the engine's own is on the index's disk
}

// avoid notes that a location turned out to have no space.
func (s *space) avoid(location int) { s.disks[location].avoid = time.Now().Add(spaceAvoid) }

func (s *space) avoided(location int) bool {
	d := &s.disks[location]
	return !d.avoid.IsZero() && time.Now().Before(d.avoid)
}

// somewhere reports whether any location has room for a new segment with so
// many octets.
func (s *space) somewhere(octets int64) bool {
	_, roomy := s.choose(0, octets)
	return roomy > 0
}

// choose returns where a segment that is to take so many octets could be made,
// best first, and how many of these have room.
func (s *space) choose(current int, octets int64) (order []int, roomy int) {
	var avoided, rest []int
	for i, l := range s.files.locations {
		switch {
		case l.readOnly:
		case !s.hasRoom(i, octets+segmentHead):
			rest = append(rest, i)
		case s.avoided(i):
			avoided = append(avoided, i)
		default:
			order = append(order, i)
		}
	}
	order = append(order, avoided...)
	roomy = len(order)
	for _, i := range rest {
		if i == current {
			order = append(order, i)
		}
	}
	for _, i := range rest {
		if i != current {
			order = append(order, i)
		}
	}
	return order, roomy
}
