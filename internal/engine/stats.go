package engine

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
	Dead    int64  // octets that the segment's removal would give back: Size - Live
	Bodies  int64  // bodies that have references
}

// Stats returns the engine's figures.
func (e *Engine) Stats() Stats { return Stats{} }
