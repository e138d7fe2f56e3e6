package engine

import (
	"context"
	"encoding/binary"
	"errors"
)

// Check reads the whole index and every segment as far as it is part of the
// log, whether anybody refers to what is there or not, and calls report for
// each place where the octets are not what was written. It returns an error
// only when it could not go on. Changes may go on meanwhile; those made after
// its start are not looked at.
func (e *Engine) Check(ctx context.Context, report func(*Damage)) error {
	return e.CheckProgress(ctx, report, func(int64) {})
}

// CheckProgress is Check that tells again and again how many octets of the log
// it has read since it told last. Size says how many there are.
func (e *Engine) CheckProgress(ctx context.Context, report func(*Damage), read func(octets int64)) error {
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
		if err := e.checkSegment(ctx, number, report, read); err != nil {
			return err
		}
	}
	return nil
}

// Size returns the octets of the log.
func (e *Engine) Size() (octets int64) {
	for _, s := range e.Stats().Segments {
		octets += s.Size
	}
	return octets
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
		end := e.accounts.get(b.segment).size
		if b.off+b.size > end && e.stays(it.Key(), b) {
			return &Damage{Segment: b.segment, Offset: end, What: "segment ends before a body"}
		}
	}
	return nil
}

// stays reports whether a body is beyond its segment's end still: it may have
// been moved since, and a segment's account is a moment behind the index.
func (e *Engine) stays(key []byte, b blob) bool {
	v, ok, err := get(e.db, key)
	if err != nil || !ok {
		return false
	}
	now, err := parseBlob(v)
	if err != nil || now.segment != b.segment {
		return false
	}
	v, ok, err = get(e.db, segmentKey(b.segment))
	return err == nil && (!ok || len(v) < 8 || int64(binary.BigEndian.Uint64(v)) < b.off+b.size)
}

func (e *Engine) checkSegment(ctx context.Context, number uint32, report func(*Damage), read func(int64)) error {
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
	short := w.size < acc.size
	w.size = min(w.size, acc.size)
	w.win.size = w.size
	end, err := checkRecords(ctx, w, report, read)
	if err == nil && (short || end < acc.size) {
		report(&Damage{Segment: number, Offset: min(end, w.size), What: "segment is too short"})
	}
	return err
}

// checkRecords reads a segment to its end, which it returns.
func checkRecords(ctx context.Context, w *walker, report func(*Damage), read func(int64)) (off int64, err error) {
	for off = segmentHead; off < w.size; {
		begin := off
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
		read(off - begin)
	}
	return off, nil
}
