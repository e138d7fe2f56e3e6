package engine

import (
	"context"
	"errors"
)

// Renew gives up what is damaged of the log: it moves all bodies of these
// segments to a new one, makes a new checkpoint, and removes the segments. A
// body that can't be read stays, and its segment with it; the error is an
// ErrDamaged then, after everything else was done.
func (e *Engine) Renew(ctx context.Context, segments ...uint32) error {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	if err := e.endSegment(ctx); err != nil {
		return err
	}
	var failed error
	for _, number := range segments {
		err := e.evacuate(ctx, number)
		if errors.Is(err, ErrDamaged) {
			failed = err
		} else if err != nil {
			return err
		}
	}
	if err := e.flushIndex(ctx); err != nil {
		return err
	}
	if err := e.Checkpoint(ctx); err != nil {
		return err
	}
	return errors.Join(failed, e.reclaim(ctx))
}

// Checkpoint makes a new checkpoint now, in place of the last one.
func (e *Engine) Checkpoint(ctx context.Context) error {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	e.checkpointing.Lock()
	defer e.checkpointing.Unlock()
	return e.makeCheckpoint(ctx)
}

// endSegment ends the segment that is written, and begins the next one with a
// record that changes nothing.
func (e *Engine) endSegment(ctx context.Context) error {
	e.ending.Store(true)
	return e.Commit(ctx, &Change{Build: func(tx *Tx) error {
		tx.ops = appendSet(tx.ops, []byte(keyFormat), []byte{formatVersion})
		return nil
	}})
}

// evacuate moves all bodies out of a segment. The index names them, since the
// segment's own records may be what is damaged.
func (e *Engine) evacuate(ctx context.Context, number uint32) error {
	select {
	case e.compacting <- struct{}{}:
		defer func() { <-e.compacting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var failed error
	for next := BlobID(0); ; {
		batch, err := e.someOf(number, next)
		if err != nil || len(batch) == 0 {
			return errors.Join(failed, err)
		}
		next = batch[len(batch)-1].id + 1
		if err := e.moveAll(ctx, batch); errors.Is(err, ErrDamaged) {
			failed = err
		} else if err != nil {
			return err
		}
	}
}

// someOf returns some bodies of a segment, from an ID on.
func (e *Engine) someOf(number uint32, from BlobID) (batch []move, err error) {
	octets := int64(0)
	err = eachBlob(e.db, from, func(id BlobID, b blob) error {
		if b.segment != number {
			return nil
		}
		batch = append(batch, move{id, b})
		if octets += b.size; octets >= compactOctets || len(batch) == compactBatch {
			return errBatch
		}
		return nil
	})
	if err == errBatch {
		err = nil
	}
	return batch, err
}

var errBatch = errors.New("engine: the batch is full")

// flushIndex brings the index to disk as far as it is now.
func (e *Engine) flushIndex(ctx context.Context) error {
	select {
	case <-e.janitor.failed: // an old failure
	default:
	}
	done, err := e.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-e.janitor.failed:
		return errors.New("engine: the index could not be flushed")
	case <-ctx.Done():
		return ctx.Err()
	}
}
