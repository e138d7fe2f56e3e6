package engine

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// roll begins a new segment when the current one is full. The old one is
// synced by then, and the index is flushed in the background, so that no
// catching up ever reads much more than one segment.
func (e *Engine) roll() error {
	if e.w.off < e.options.SegmentSize || e.w.off == segmentHead {
		return nil
	}
	old := e.w
	if err := e.newSegment(newSegmentInfo(old.info.number+1, old.off)); err != nil {
		return err
	}
	e.files.release(e.writing)
	e.writing = e.files.add(e.w.info.number, e.w.file)
	e.janitor.flush()
	return nil
}

// newSegment makes a segment and writes there from now on.
func (e *Engine) newSegment(info segmentInfo) error {
	const first = 0
	f, err := createSegment(e.fs, e.files.locations[first].dir, info)
	if err != nil {
		return err
	}
	e.files.places.put(info.number, place{first, segmentHead})
	e.counters.syncs.Add(2)
	e.w = &writer{file: f, info: info, off: segmentHead, synced: segmentHead, high: segmentHead, syncs: &e.counters.syncs}
	return nil
}

// removable reports whether no crash can need a segment's changes again, when
// the index on disk has the log up to flushed.
func removable(number uint32, flushed position) bool { return number < flushed.segment }

// reclaim removes the segments that hold nothing any more: no body with
// references, and no change that a crash could need again.
func (e *Engine) reclaim() error {
	flushed, err := flushedPosition(e.db)
	if err != nil {
		return indexFailure(err)
	}
	for _, number := range e.accounts.numbers() {
		if !removable(number, flushed) {
			break
		}
		if e.accounts.get(number).bodies > 0 {
			continue
		}
		err = errors.Join(err, e.removeSegment(number))
	}
	return err
}

func (e *Engine) removeSegment(number uint32) error {
	if err := e.files.remove(number); err != nil {
		return err
	}
	e.accounts.remove(number)
	return e.db.Delete(segmentKey(number), pebble.NoSync)
}
