package engine

import "sync/atomic"

// Stats are figures of an engine since it was opened, and of its segments.
type Stats struct {
	Groups   uint64 // groups of changes, each with one sync
	Changes  uint64 // changes made
	Refused  uint64 // changes refused
	Syncs    uint64 // syncs of the log, those of new segments included
	Written  uint64 // octets written to the log
	Segments []SegmentStats
}

// SegmentStats are figures of one segment.
type SegmentStats struct {
	Segment uint32 // its number, ascending
	Size    int64  // octets of its file
	Live    int64  // octets of bodies that have references
	Dead    int64  // octets that compacting the segment would give back: Size - Live
	Bodies  int64  // bodies that have references
}

// counters are the engine's own figures.
type counters struct {
	groups, changes, refused, syncs, written atomic.Uint64
}

// Stats returns the engine's figures.
func (e *Engine) Stats() Stats {
	s := Stats{
		Groups:  e.counters.groups.Load(),
		Changes: e.counters.changes.Load(),
		Refused: e.counters.refused.Load(),
		Syncs:   e.counters.syncs.Load(),
		Written: e.counters.written.Load(),
	}
	for _, number := range e.accounts.numbers() {
		a := e.accounts.get(number)
		s.Segments = append(s.Segments, SegmentStats{
			Segment: number, Size: a.size, Live: a.live, Dead: a.size - a.live, Bodies: a.bodies,
		})
	}
	return s
}
