package engine

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const replayBatch = 1 << 20 // octets of changes applied at one time

// catchUp applies to the index what the log holds after the index's position,
// and leaves e.w at the log's end.
func (e *Engine) catchUp() error {
	from, last, err := e.logRange()
	if err != nil {
		return err
	}
	if last == 0 {
		if err := e.newSegment(newSegmentInfo(1, 0)); err != nil {
			return err
		}
		e.writing = e.files.add(1, e.w.file)
		return nil
	}
	start := from.off
	for number := from.segment; number < last; number++ {
		if err := e.replaySealed(number, start); err != nil {
			return err
		}
		start = segmentHead
	}
	return e.replayLast(last, start)
}

// logRange returns where to start reading the log, and its last segment; 0
// when there is no log yet.
func (e *Engine) logRange() (from position, last uint32, err error) {
	v, known, err := get(e.db, []byte(keyPosition))
	if err != nil {
		return from, 0, err
	}
	if from = (position{1, segmentHead}); known {
		if from, err = parsePosition(v); err != nil {
			return from, 0, err
		}
	}
	there := make(map[uint32]bool)
	for _, number := range e.files.places.numbers() {
		there[number] = true
		last = number
		if _, ok := e.accounts.of[number]; !ok && number < from.segment {
			e.accounts.of[number] = account{} // its removal did not finish
		}
	}
	if last > from.segment || !known {
		if last, err = e.dropUnfinished(last); err != nil {
			return from, 0, err
		}
	}
	if last == 0 && !known {
		return from, 0, nil
	}
	for number := from.segment; number <= max(last, from.segment); number++ {
		if !there[number] {
			return from, 0, &Damage{Segment: number, What: "segment is missing"}
		}
	}
	return from, last, nil
}

// dropUnfinished removes the newest segment when it was not finished being
// made, and returns the last one then.
func (e *Engine) dropUnfinished(last uint32) (uint32, error) {
	if last == 0 {
		return 0, nil
	}
	f, err := e.files.acquire(last)
	if err != nil {
		return 0, err
	}
	defer e.files.release(f)
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if _, err = readSegmentInfo(f, last); err == nil || !errors.Is(err, ErrDamaged) || info.Size() > segmentHead {
		return last, err
	}
	return last - 1, e.files.remove(last)
}

// openWalker reads a segment's header.
func (e *Engine) openWalker(f vfs.File, number uint32) (*walker, error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	info, err := readSegmentInfo(f, number)
	if err != nil {
		return nil, err
	}
	return newWalker(f, info, stat.Size()), nil
}

// replaySealed applies a segment that another one follows: it is whole.
func (e *Engine) replaySealed(number uint32, start int64) error {
	next, err := e.files.acquire(number + 1)
	if err != nil {
		return err
	}
	following, err := readSegmentInfo(next, number+1)
	e.files.release(next)
	if err != nil {
		return err
	}
	f, err := e.files.acquire(number)
	if err != nil {
		return err
	}
	defer e.files.release(f)
	w, err := e.openWalker(f, number)
	if err != nil {
		return err
	}
	return e.replay(w, start, following.prevEnd)
}

// replayLast finds the log's end and applies the last segment up to there.
func (e *Engine) replayLast(number uint32, start int64) error {
	f, err := e.files.openLast(number)
	if err != nil {
		return err
	}
	e.writing = e.files.add(number, f)
	w, err := e.openWalker(f, number)
	if err != nil {
		return err
	}
	end, err := findEnd(w, start)
	if err != nil {
		return err
	}
	e.w = &writer{file: f, info: w.info, off: end, synced: end, high: w.size, syncs: &e.counters.syncs}
	if end < w.size {
		e.log.Warn("mail log ends in something unfinished, which was never acknowledged; cut off",
			"segment", number, "offset", end, "octets", w.size-end)
	}
	if e.files.readOnly(number) {
		e.w.high = end // the next segment will say where this one ends
	}
	if end > start || end < w.size {
		// What a killed process wrote may be in memory only.
		if err := e.w.sync(); err != nil {
			return err
		}
	}
	return e.replay(w, start, end)
}

// findEnd returns where the log ends in its last segment. Before the last
// group everything was synced, and must be good; of the last group everything
// up to the first bad record counts.
func findEnd(w *walker, start int64) (end int64, err error) {
	if start > w.size {
		return 0, &Damage{Segment: w.info.number, Offset: w.size, What: "log ends before what is known to be there"}
	}
	group := start
	for end = start; end < w.size; {
		r, ok, err := w.at(end)
		if err != nil {
			return 0, err
		}
		if !ok {
			if err := torn(w, end); err != nil {
				return 0, err
			}
			break
		}
		group, end = r.group, r.end()
	}
	return checkGroup(w, max(group, start), end)
}

// torn reports damage unless the bad record at off can be what a crash left of
// the last group: no group that began after it is there.
func torn(w *walker, off int64) error {
	for at := off; ; {
		r, ok, err := w.next(at)
		if err != nil || !ok {
			return err
		}
		if r.group > off {
			return &Damage{Segment: w.info.number, Offset: off, What: "record, with good ones after it"}
		}
		at = r.off
	}
}

// checkGroup returns where the first record with a bad body begins, or end.
func checkGroup(w *walker, start, end int64) (int64, error) {
	for off := start; off < end; {
		r, ok, err := w.at(off)
		if err != nil || !ok {
			return off, err
		}
		_, ok, err = w.body(r)
		if err != nil || !ok {
			return off, err
		}
		off = r.end()
	}
	return end, nil
}

// replay applies the records from start to end.
func (e *Engine) replay(w *walker, start, end int64) error {
	if start > end {
		return &Damage{Segment: w.info.number, Offset: end, What: "segment ends before what is known to be there"}
	}
	b := e.newReplayBatch(w.info.number)
	defer func() { b.stage.close() }()
	for off := start; off < end; {
		r, ok, err := w.at(off)
		if err != nil {
			return err
		}
		if !ok || r.end() > end {
			return &Damage{Segment: w.info.number, Offset: off, What: "record"}
		}
		if err := b.add(r); err != nil {
			return err
		}
		off = r.end()
		if b.octets < replayBatch && off < end {
			continue
		}
		if err := b.finish(position{w.info.number, off}); err != nil {
			return err
		}
		b.stage.close()
		b = e.newReplayBatch(w.info.number)
	}
	return nil
}

// replaying is some records on their way to the index.
type replaying struct {
	e       *Engine
	segment uint32
	stage   *staging
	blobs   *blobChanges
	octets  int
}

func (e *Engine) newReplayBatch(segment uint32) *replaying {
	return &replaying{e: e, segment: segment, stage: newStaging(e.db), blobs: newBlobChanges(e.db)}
}

func (b *replaying) add(r record) error {
	if err := b.stage.add(r.ops); err != nil {
		if errors.Is(err, errBadChanges) {
			return &Damage{Segment: b.segment, Offset: r.off, What: "changes of a record"}
		}
		return err
	}
	b.octets += len(r.ops)
	_, err := eachOp(r.ops, b.blobs.apply)
	return err
}

func (b *replaying) finish(p position) error {
	b.blobs.accounts.end(p)
	after := b.e.accounts.with(b.blobs.accounts)
	if err := b.stage.finish(after, p); err != nil {
		return err
	}
	b.e.accounts.set(after)
	return nil
}
