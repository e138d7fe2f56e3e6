package engine

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// roll begins a new segment when the current one is full, or its location, or
// when nothing may be written there. octets are those of the body that comes
// next, 0 without one. When no location has room for them, the current segment
// is one that changes without a body may go to. The old segment is synced by
// then, and the index is flushed in the background, so that no catching up ever
// reads much more than one segment.
func (e *Engine) roll(octets int64) error {
	at, _ := e.files.places.get(e.w.info.number)
	full := (e.w.off >= e.options.SegmentSize || e.ending.Swap(false)) && e.w.off > segmentHead
	if !full && e.space.hasRoom(at.location, octets) && !e.space.avoided(at.location) {
		return nil
	}
	order, roomy := e.space.choose(at.location, octets)
	stay := !full && !e.files.locations[at.location].readOnly
	if stay && (roomy == 0 || order[0] == at.location) {
		return nil
	}
	old := e.w
	if err := e.makeSegment(newSegmentInfo(old.info.number+1, old.off), order); err != nil {
		return err
	}
	e.accounts.ensure(old.info.number)
	e.files.release(e.writing)
	e.writing = e.files.add(e.w.info.number, e.w.file)
	e.janitor.flush()
	return nil
}

// newSegment makes a segment and writes there from now on.
func (e *Engine) newSegment(info segmentInfo) error {
	order, _ := e.space.choose(0, 0)
	return e.makeSegment(info, order)
}

// makeSegment is newSegment in the first location of order where it can be
// made.
func (e *Engine) makeSegment(info segmentInfo, order []int) error {
	for i, location := range order {
		dir := e.files.locations[location].dir
		f, err := createSegment(e.fs, dir, info)
		if err == nil {
			e.counters.syncs.Add(2)
			e.files.places.put(info.number, place{location, segmentHead})
			e.w = &writer{file: f, info: info, off: segmentHead, synced: segmentHead, high: segmentHead, syncs: &e.counters.syncs}
			return nil
		}
		var creating *createError
		if i == len(order)-1 || !errors.As(err, &creating) && !(isWriteError(err) && isFull(err)) {
			return err
		}
		e.space.avoid(location)
		e.log.Warn("mail segment could not be made; trying the next location", "location", dir, "error", err)
	}
	return errors.New("engine: no location to write to") // Open sees to it that there is one
}

// reclaim removes the segments that hold nothing any more: no body with
// references, and no change that a crash, or a damage of the index, could need
// again.
func (e *Engine) reclaim(ctx context.Context) (err error) {
	bound := e.keepLog(ctx)
	if !e.removing.TryLock() { // a backup needs them all, and wakes the janitor
		return nil
	}
	defer e.removing.Unlock()
	for _, number := range e.accounts.numbers() {
		if number >= bound {
			break
		}
		if e.accounts.get(number).bodies > 0 || e.files.readOnly(number) {
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
