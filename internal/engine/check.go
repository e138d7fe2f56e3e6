package engine

import (
	"context"
	"errors"
)

// Check reads the whole index and every segment as far as it is part of the
// log, whether anybody refers to what is there or not, and calls report for
// each place where the octets are not what was written. It returns an error
// only when it could not go on. Changes may go on meanwhile; those made after
// its start are not looked at.
func (e *Engine) Check(ctx context.Context, report func(*Damage)) error {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	var damage *Damage
	err := e.checkIndex(ctx)
	if errors.As(err, &damage) {
		report(damage)
	} else if err != nil {
		return err
	}
	for _, number := range e.accounts.numbers() {
		if err := e.checkSegment(ctx, number, report); err != nil {
			return err
		}
	}
	return nil
}

// checkIndex reads every key, and compares the bodies it finds with the
// segments.
func (e *Engine) checkIndex(ctx context.Context) (err error) {
	it, err := e.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return indexFailure(err)
		}
		if _, ok := blobOfKey(it.Key()); !ok {
			continue
		}
		b, err := parseBlob(value)
		if err != nil {
			return err
		}
		if end := e.accounts.get(b.segment).size; b.off+b.size > end {
			return &Damage{Segment: b.segment, Offset: end, What: "segment ends before a body"}
		}
	}
	return nil
}

func (e *Engine) checkSegment(ctx context.Context, number uint32, report func(*Damage)) error {
	acc := e.accounts.get(number)
	f, err := e.files.acquire(number)
	if errors.Is(err, errNoSegment) {
		if acc.bodies > 0 && e.accounts.get(number).bodies > 0 {
			report(&Damage{Segment: number, What: "segment is missing"})
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer e.files.release(f)
	w, err := e.openWalker(f, number)
	var damage *Damage
	if errors.As(err, &damage) {
		report(damage)
		return nil
	}
	if err != nil {
		return err
	}
	w.size = min(w.size, acc.size)
	w.win.size = w.size
	end, err := checkRecords(ctx, w, report)
	if err == nil && end < acc.size {
		report(&Damage{Segment: number, Offset: end, What: "segment is too short"})
	}
	return err
}

// checkRecords reads a segment to its end, which it returns.
func checkRecords(ctx context.Context, w *walker, report func(*Damage)) (off int64, err error) {
	for off = segmentHead; off < w.size; {
		if err := ctx.Err(); err != nil {
			return off, err
		}
		r, ok, err := w.at(off)
		if err != nil {
			return off, err
		}
		if !ok {
			report(&Damage{Segment: w.info.number, Offset: off, What: "record"})
			if r, ok, err = w.next(off); err != nil {
				return off, err
			}
			if !ok {
				return w.size, nil
			}
		}
		bad, ok, err := w.body(r)
		if err != nil {
			return off, err
		}
		if !ok {
			report(&Damage{Segment: w.info.number, Offset: bad, What: "body"})
		}
		off = r.end()
	}
	return off, nil
}
