package engine

import "sync/atomic"

// Stats are figures of an engine since it was opened, and of its segments.
type Stats struct {
	Groups    uint64 // groups of changes, each with one sync
	Changes   uint64 // changes made
	Refused   uint64 // changes refused
	Syncs     uint64 // syncs of the log, those of new segments included
	Written   uint64 // octets written to the log
	Moved     uint64 // octets of bodies, of those, that compaction moved
	Segments  []SegmentStats
	Locations []LocationStats // in the order in which they are filled
}

// LocationStats are figures of one location.
type LocationStats struct {
	Path     string
	Limit    int64 // octets of segments that new bodies may fill; 0: as much as the disk has
	Used     int64 // octets of segments
	Free     int64 // octets that the disk has left; -1: unknown
	ReadOnly bool
	Segments int
}

// SegmentStats are figures of one segment.
type SegmentStats struct {
	Segment  uint32 // its number, ascending
	Location string // path of the location that it stands in; "": none
	Size     int64  // octets of its file
	Live     int64  // octets of bodies that have references
	Dead     int64  // octets of all else: Size - Live
	Bodies   int64  // bodies that have references
}

// counters are the engine's own figures.
type counters struct {
	groups, changes, refused, syncs, written, moves, moved atomic.Uint64
}

// Stats returns the engine's figures.
func (e *Engine) Stats() Stats {
	s := Stats{
		Groups:  e.counters.groups.Load(),
		Changes: e.counters.changes.Load(),
		Refused: e.counters.refused.Load(),
		Syncs:   e.counters.syncs.Load(),
		Written: e.counters.written.Load(),
		Moved:   e.counters.moved.Load(),
	}
	for _, number := range e.accounts.numbers() {
		a := e.accounts.get(number)
		stats := SegmentStats{Segment: number, Size: a.size, Live: a.live, Dead: a.size - a.live, Bodies: a.bodies}
		if at, ok := e.files.places.get(number); ok {
			stats.Location = e.files.locations[at.location].dir
		}
		s.Segments = append(s.Segments, stats)
	}
	for i := range e.files.locations {
		s.Locations = append(s.Locations, e.locationStats(i))
	}
	return s
}

func (e *Engine) locationStats(i int) LocationStats {
	l := e.files.locations[i]
	s := LocationStats{Path: l.dir, Limit: l.limit, ReadOnly: l.readOnly, Free: -1}
	s.Segments, s.Used = e.files.places.in(i)
	if usage, err := e.fs.GetDiskUsage(l.dir); err == nil {
		s.Free = int64(usage.AvailBytes)
	}
	return s
}
