package engine

import (
	"context"
	"errors"
)

// checkpointEvery is after how many segments' worth of log, and how many times
// the size of the last checkpoint, a new one is made although no space waits
// for it, so that making the index again never reads much more than that.
const checkpointEvery = 4

// skipped reports keys that are no part of checkpoints.
func (e *Engine) skipped(key []byte) bool {
	if reserved(key) {
		return string(key) == keyPosition || string(key) == keyFormat
	}
	for i := range len(e.options.Caches) {
		if key[0] == e.options.Caches[i] {
			return true
		}
	}
	return false
}

// checkpointDue reports whether a new checkpoint would pay: it gives back at
// least as much space as it takes, or the log after the last one is long.
func (e *Engine) checkpointDue(flushed position) bool {
	last := e.checkpoint
	held, since := int64(0), int64(0)
	for _, number := range e.accounts.numbers() {
		a := e.accounts.get(number)
		if number < last.at.segment {
			continue
		}
		since += a.size
		if number < flushed.segment && a.bodies == 0 {
			held += a.size
		}
	}
	if last.at.segment > 0 {
		since -= last.at.off
	}
	return held > 0 && held >= last.size || since >= checkpointEvery*(e.options.SegmentSize+last.size)
}

// makeCheckpoint makes a new checkpoint in place of the last one.
func (e *Engine) makeCheckpoint(ctx context.Context) error {
	snap := e.db.NewSnapshot()
	c, err := writeCheckpoint(ctx, e.fs, e.logDir, e.checkpoint.number+1, snap, e.skipped)
	if err = errors.Join(err, snap.Close()); err != nil {
		return err
	}
	e.checkpoint = c
	return e.removeCheckpoints(c.number)
}

// removeCheckpoints removes those before number, and what was not finished.
func (e *Engine) removeCheckpoints(number uint32) error {
	numbers, err := listNumbered(e.fs, e.logDir, checkpointSuffix)
	for _, n := range numbers {
		if n < number {
			err = errors.Join(err, removeIfThere(e.fs, e.fs.PathJoin(e.logDir, checkpointName(n))))
		}
	}
	return err
}

// keepLog makes a checkpoint when one is due. Without one, dead segments stay.
// Only on a full disk they go all the same, since their space may be what the
// checkpoint needs; until it can be made, the index can't be made again.
func (e *Engine) keepLog(ctx context.Context) (bound uint32) {
	e.checkpointing.Lock()
	defer e.checkpointing.Unlock()
	flushed, err := flushedPosition(e.db)
	if err != nil {
		e.log.Error("mail index can't be read", "error", err)
		return 0
	}
	if !e.checkpointDue(flushed) {
		return min(flushed.segment, e.checkpoint.at.segment)
	}
	err = e.makeCheckpoint(ctx)
	if err == nil || ctx.Err() != nil {
		return min(flushed.segment, e.checkpoint.at.segment)
	}
	e.log.Error("no checkpoint of the mail log could be made", "error", err)
	if isFull(err) {
		return flushed.segment
	}
	return min(flushed.segment, e.checkpoint.at.segment)
}
