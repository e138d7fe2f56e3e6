package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
)

// Inspection is who is told of what Check does.
type Inspection struct {
	Damage   func(*Damage)      // called for each place where the octets are not what was written
	Progress func(octets int64) // called with the octets read since the last call; nil: nobody asks
}

func (i *Inspection) progress(octets int64) {
	if i.Progress != nil {
		i.Progress(octets)
	}
}

// found passes damage on, and returns other errors.
func (i *Inspection) found(err error) error {
	if d, ok := errors.AsType[*Damage](err); ok {
		i.Damage(d)
		return nil
	}
	return err
}

// Check reads the whole index and its files, the checkpoint, the markers of
// locations, and every segment as far as it is part of the log, whether anybody
// refers to what is there or not, and compares them: each body is where the
// index has it, and what the accounts of segments say is what there is. It
// returns an error only when it could not go on. Changes may go on meanwhile;
// those made after its start are not looked at.
func (e *Engine) Check(ctx context.Context, i Inspection) error {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	if err := i.found(e.checkIndex(ctx)); err != nil {
		return err
	}
	if err := errors.Join(e.checkTables(ctx, &i), e.checkLocations(&i)); err != nil {
		return err
	}
	if err := i.found(e.checkCheckpoint(&i)); err != nil {
		return err
	}
	if err := i.found(e.checkPlaces(ctx, &i)); err != nil {
		return err
	}
	for _, number := range e.accounts.numbers() {
		if err := e.checkSegment(ctx, number, &i); err != nil {
			return err
		}
	}
	return nil
}

// checkIndex reads every key, and compares the bodies that it finds with what
// is known of the segments.
func (e *Engine) checkIndex(ctx context.Context) (err error) {
	snap := e.db.NewSnapshot()
	defer func() { err = errors.Join(err, snap.Close()) }()
	if err := readAll(ctx, snap); err != nil {
		return err
	}
	counted, err := countBodies(snap)
	if err != nil {
		return err
	}
	known, err := loadAccounts(snap)
	if err != nil {
		return err
	}
	for _, number := range known.numbers() {
		a, c := known.of[number], counted[number]
		if a.live != c.live || a.bodies != c.bodies {
			return &Damage{Segment: number, Offset: a.size, What: fmt.Sprintf(
				"account: it has %d bodies of %d octets, and counts %d of %d", c.bodies, c.live, a.bodies, a.live)}
		}
		delete(counted, number)
	}
	for number := range counted {
		return &Damage{Segment: number, What: "account is missing"}
	}
	return nil
}

// readAll reads every key and value.
func readAll(ctx context.Context, r pebble.Reader) (err error) {
	it, err := r.NewIterWithContext(ctx, nil)
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			return indexFailure(err)
		}
	}
	return nil
}

// checkCheckpoint reads the newest checkpoint.
func (e *Engine) checkCheckpoint(i *Inspection) error {
	numbers, err := listNumbered(e.fs, e.logDir, checkpointSuffix)
	if err != nil || len(numbers) == 0 {
		return err
	}
	newest := numbers[len(numbers)-1]
	f, err := e.fs.Open(e.fs.PathJoin(e.logDir, checkpointName(newest)))
	if errors.Is(err, fs.ErrNotExist) { // there is a newer one by now, which was just written
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := readCheckpointInfo(f, newest)
	if err != nil {
		return err
	}
	return readCheckpoint(f, c, func(changes []byte) error { i.progress(int64(len(changes))); return nil }, func(d *Damage) error {
		i.Damage(d)
		return nil
	})
}

func (e *Engine) checkSegment(ctx context.Context, number uint32, i *Inspection) error {
	acc := e.accounts.get(number)
	f, err := e.files.acquire(number)
	if errors.Is(err, errNoSegment) {
		if acc.bodies > 0 && e.accounts.get(number).bodies > 0 {
			i.Damage(&Damage{Segment: number, What: "segment is missing"})
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer e.files.release(f)
	w, err := e.openWalker(f, number)
	if w != nil && w.size < segmentHead && acc.bodies == 0 && e.files.readOnly(number) {
		return nil // it was not finished being made, and is not removed where it stands
	}
	if err != nil {
		return i.found(err)
	}
	short := w.size < acc.size
	w.size = min(w.size, acc.size)
	w.win.size = w.size
	end, err := checkRecords(ctx, w, i)
	if err == nil && (short || end < acc.size) {
		i.Damage(&Damage{Segment: number, Offset: min(end, w.size), What: "segment is too short"})
	}
	return err
}

// checkRecords reads a segment to its end, which it returns.
func checkRecords(ctx context.Context, w *walker, i *Inspection) (off int64, err error) {
	for off = segmentHead; off < w.size; {
		if err := ctx.Err(); err != nil {
			return off, err
		}
		r, ok, err := w.at(off)
		if err != nil {
			return off, err
		}
		if !ok {
			i.Damage(&Damage{Segment: w.info.number, Offset: off, What: "record"})
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
			i.Damage(&Damage{Segment: w.info.number, Offset: bad, What: "body"})
		}
		i.progress(r.end() - off)
		off = r.end()
	}
	return off, nil
}
