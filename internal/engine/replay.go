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
	if from.segment == 0 {
		return e.continueAfter(position{})
	}
	start := from.off
	for number := from.segment; number < last; number++ {
		if err := e.replaySealed(number, start); err != nil {
			return err
		}
		start = segmentHead
	}
	if last < from.segment { // what was the last one is lost
		return e.continueAfter(from)
	}
	return e.replayLast(last, start)
}

// continueAfter begins a new segment after one that ends nobody knows where.
func (e *Engine) continueAfter(p position) error {
	if err := e.newSegment(newSegmentInfo(p.segment+1, p.off)); err != nil {
		return err
	}
	e.writing = e.files.add(p.segment+1, e.w.file)
	return nil
}

// logRange returns where to start reading the log, and its last segment. The
// zero position says that there is no log yet.
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
	numbers := e.files.places.numbers()
	for _, number := range numbers {
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
	switch {
	case known:
	case last == 0:
		return position{}, 0, nil
	case numbers[0] > from.segment:
		if err := e.damaged(&Damage{Segment: numbers[0], What: "segments before it are missing"}); err != nil {
			return from, 0, err
		}
		from.segment = numbers[0]
	}
	for number := from.segment; number <= max(last, from.segment); number++ {
		if there[number] {
			continue
		}
		if err := e.damaged(&Damage{Segment: number, What: "segment is missing"}); err != nil {
			return from, 0, err
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
	_, err = readSegmentInfo(f, last)
	if errors.Is(err, ErrDamaged) && info.Size() > segmentHead {
		return last, nil // whoever reads it says so, or salvages it
	}
	if err == nil || !errors.Is(err, ErrDamaged) {
		return last, err
	}
	return last - 1, e.files.remove(last)
}

// openWalker reads a segment's header. Where that is damaged, and what is left
// is salvaged, the first record tells the salt.
func (e *Engine) openWalker(f vfs.File, number uint32) (*walker, error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	info, err := readSegmentInfo(f, number)
	if err == nil || e.options.Salvage == nil || !errors.Is(err, ErrDamaged) {
		return newWalker(f, info, stat.Size()), err
	}
	info = segmentInfo{number: number}
	if _, failure := f.ReadAt(info.salt[:], segmentHead); failure != nil {
		return nil, err
	}
	w := newWalker(f, info, stat.Size())
	if _, ok, failure := w.at(segmentHead); failure != nil || !ok {
		return nil, errors.Join(failure, err)
	}
	return w, e.salvaged(err)
}

// replaySealed applies a segment that another one follows: it is whole.
func (e *Engine) replaySealed(number uint32, start int64) error {
	end, err := e.endOf(number)
	if err != nil {
		return err
	}
	return e.replaySegment(number, start, end)
}

// maxOffset is beyond the end of every segment.
const maxOffset = 1 << 32

// endOf returns where a segment ends, which the next one says. It is
// maxOffset when that is damaged and what is left is salvaged.
func (e *Engine) endOf(number uint32) (int64, error) {
	next, err := e.files.acquire(number + 1)
	if errors.Is(err, errNoSegment) && e.options.Salvage != nil { // that was reported
		return maxOffset, nil
	}
	if err != nil {
		return 0, err
	}
	defer e.files.release(next)
	following, err := readSegmentInfo(next, number+1)
	if err != nil {
		return maxOffset, e.salvaged(err)
	}
	return following.prevEnd, nil
}

// replaySegment applies what a segment holds from start to end. One that is
// missing was reported before.
func (e *Engine) replaySegment(number uint32, start, end int64) error {
	f, err := e.files.acquire(number)
	if errors.Is(err, errNoSegment) && e.options.Salvage != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.files.release(f)
	w, err := e.openWalker(f, number)
	if err != nil {
		return e.salvaged(err)
	}
	if end == maxOffset {
		end = max(w.size, start)
	}
	return e.replay(w, start, end)
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
		if err := e.salvaged(err); err != nil {
			return err
		}
		e.files.release(e.writing) // nothing in it can be read
		return e.continueAfter(position{number, start})
	}
	if start > w.size {
		d := &Damage{Segment: w.info.number, Offset: w.size, What: "log ends before what is known to be there"}
		if err := e.damaged(d); err != nil {
			return err
		}
		e.files.release(e.writing)
		return e.continueAfter(position{number, start})
	}
	end, err := findEnd(w, start, e.damaged)
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
	if end > start || end < w.size || end == segmentHead {
		// What a killed process wrote may be in memory only, and so may the
		// header, which nothing else makes durable when the next segment follows.
		if err := e.w.sync(); err != nil {
			return err
		}
	}
	return e.replay(w, start, end)
}

// findEnd returns where the log ends in its last segment. Before the last
// group everything was synced, and must be good, or else damaged is asked
// whether to go on; of the last group everything up to the first bad record
// counts.
func findEnd(w *walker, start int64, damaged func(*Damage) error) (end int64, err error) {
	group := start
	for end = start; end < w.size; {
		r, ok, err := w.at(end)
		if err != nil {
			return 0, err
		}
		if ok {
			group, end = r.group, r.end()
			continue
		}
		next, err := afterTorn(w, end)
		if err != nil {
			return 0, err
		}
		if next == 0 {
			break
		}
		if err := damaged(&Damage{Segment: w.info.number, Offset: end, What: "record, with good ones after it"}); err != nil {
			return 0, err
		}
		end = next
	}
	return checkGroup(w, max(group, start), end)
}

// afterTorn returns where the first record stands that shows that the bad one
// at off can't be what a crash left of the last group: it is of a group that
// began later. It returns 0 when there is none.
func afterTorn(w *walker, off int64) (next int64, err error) {
	for at := off; ; {
		r, ok, err := w.next(at)
		if err != nil || !ok {
			return 0, err
		}
		if r.group > off {
			return r.off, nil
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
		return e.damaged(&Damage{Segment: w.info.number, Offset: end, What: "segment ends before what is known to be there"})
	}
	b := e.newReplayBatch(w.info.number)
	defer func() { b.stage.close() }()
	for off := start; off < end; {
		r, ok, err := e.nextGood(w, off, end)
		switch {
		case err != nil:
			return err
		case !ok:
			off = end
		default:
			if err := b.add(r); err != nil {
				return err
			}
			off = r.end()
		}
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

// nextGood returns the record at off or, when that is damaged and what is left
// is salvaged, the next one before end, if there is one.
func (e *Engine) nextGood(w *walker, off, end int64) (r record, ok bool, err error) {
	r, ok, err = w.at(off)
	if err != nil || ok && r.end() <= end {
		return r, ok, err
	}
	if err := e.damaged(&Damage{Segment: w.info.number, Offset: off, What: "record"}); err != nil {
		return r, false, err
	}
	r, ok, err = w.next(off)
	return r, ok && r.end() <= end, err
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
