package engine

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cockroachdb/pebble/v2"
)

// oldIndex is where Options.Rebuild leaves the index that was there.
const oldIndex = "index.old"

// putAside moves the index out of the way, so that a new one is made.
func (e *Engine) putAside(dir string) error {
	index, old := e.fs.PathJoin(dir, "index"), e.fs.PathJoin(dir, oldIndex)
	if _, err := e.fs.Stat(index); err != nil {
		return nil // there is none
	}
	if err := e.fs.RemoveAll(old); err != nil {
		return err
	}
	if err := e.fs.Rename(index, old); err != nil {
		return err
	}
	e.aside = true
	return syncDir(e.fs, dir)
}

// putBack takes an index that was put aside back when none could be made in its
// place.
func (e *Engine) putBack() error {
	dir := e.fs.PathDir(e.logDir)
	index := e.fs.PathJoin(dir, "index")
	if err := e.fs.RemoveAll(index); err != nil {
		return err
	}
	if err := e.fs.Rename(e.fs.PathJoin(dir, oldIndex), index); err != nil {
		return err
	}
	return syncDir(e.fs, dir)
}

// damaged is asked what to do about damage that is met while opening: nothing,
// if somebody is there to hear of it.
func (e *Engine) damaged(d *Damage) error {
	if e.options.Salvage == nil {
		return d
	}
	e.options.Salvage(d)
	return nil
}

// salvaged is damaged for an error that may be damage or anything else.
func (e *Engine) salvaged(err error) error {
	if d, ok := errors.AsType[*Damage](err); ok {
		return e.damaged(d)
	}
	return err
}

// findCheckpoint learns of the newest checkpoint, and removes what is left of
// one that was not finished, or is older.
func (e *Engine) findCheckpoint() error {
	numbers, err := listNumbered(e.fs, e.logDir, checkpointSuffix)
	if err != nil || len(numbers) == 0 {
		return err
	}
	newest := numbers[len(numbers)-1]
	e.checkpoint.number = newest
	f, err := e.fs.Open(e.fs.PathJoin(e.logDir, checkpointName(newest)))
	if err != nil {
		return err
	}
	c, err := readCheckpointInfo(f, newest)
	if err = errors.Join(err, f.Close()); err == nil {
		e.checkpoint = c
	}
	return err
}

// restore fills an index that knows nothing from the newest checkpoint. What
// follows in the log is for catchUp.
func (e *Engine) restore() error {
	err := e.findCheckpoint()
	_, known, failure := get(e.db, []byte(keyPosition))
	switch {
	case failure != nil:
		return failure
	case known && errors.Is(err, ErrDamaged): // another one will be made
		e.log.Error("checkpoint of the mail log is damaged", "error", err)
		return nil
	case known || err == nil && e.checkpoint.number == 0:
		return err
	case err != nil: // all that is there is caught up then
		return e.salvaged(err)
	}
	e.log.Info("mail index is made again from the log", "checkpoint", e.checkpoint.number, "segment", e.checkpoint.at.segment)
	return e.load(e.checkpoint)
}

// load makes the index what a checkpoint says.
func (e *Engine) load(c checkpoint) error {
	f, err := e.fs.Open(e.fs.PathJoin(e.logDir, checkpointName(c.number)))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := e.forgetAll(); err != nil {
		return err
	}
	lost := false
	if e.options.Salvage != nil {
		none := func([]byte) error { return nil }
		if err := readCheckpoint(f, c, none, func(d *Damage) error { lost = true; return e.damaged(d) }); err != nil {
			return err
		}
	}
	if lost { // what the checkpoint lost may be in older segments
		if err := e.replayUpTo(c.at); err != nil {
			return err
		}
	}
	l := loader{stage: newStaging(e.db)}
	err = readCheckpoint(f, c, l.add, func(d *Damage) error {
		if !lost {
			return d
		}
		return nil
	})
	if err == nil {
		err = l.finish(c.at)
	}
	l.stage.close()
	if err == nil && lost {
		err = e.recount()
	}
	return err
}

// loader puts blocks of a checkpoint into the index. The position comes last:
// an index that has none is loaded from the beginning again.
type loader struct {
	stage  *staging
	octets int
}

func (l *loader) add(changes []byte) error {
	if err := l.stage.add(changes); err != nil {
		return err
	}
	if l.octets += len(changes); l.octets < replayBatch {
		return nil
	}
	if err := l.stage.apply(); err != nil {
		return err
	}
	l.stage.close()
	l.stage, l.octets = newStaging(l.stage.db), 0
	return nil
}

func (l *loader) finish(at position) error {
	if err := l.stage.set([]byte(keyPosition), at.value()); err != nil {
		return err
	}
	return l.stage.apply()
}

// forgetAll empties the index, but for its format.
func (e *Engine) forgetAll() (err error) {
	it, err := e.db.NewIter(nil)
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if string(it.Key()) == keyFormat {
			continue
		}
		if err := e.db.Delete(it.Key(), pebble.NoSync); err != nil {
			return err
		}
	}
	return nil
}

// replayUpTo applies every segment that is there, from the first one up to a
// position. Only salvaging needs it: what segments that are gone have deleted
// comes back.
func (e *Engine) replayUpTo(to position) error {
	e.accounts = newAccounts()
	for _, number := range e.files.places.numbers() {
		if number > to.segment {
			break
		}
		end := int64(maxOffset)
		if number == to.segment {
			end = to.off
		}
		if err := e.replaySegment(number, segmentHead, end); err != nil {
			return err
		}
	}
	return nil
}

// recount makes the accounts of segments what the bodies in the index say.
func (e *Engine) recount() (err error) {
	accounts, err := loadAccounts(e.db)
	if err != nil {
		return err
	}
	counted, err := countBodies(e.db)
	if err != nil {
		return err
	}
	stage := newStaging(e.db)
	defer stage.close()
	for number := range maps.Keys(accounts.of) {
		a := counted[number]
		a.size = accounts.of[number].size
		if err := stage.set(segmentKey(number), a.value()); err != nil {
			return err
		}
	}
	return stage.apply()
}

// countBodies adds up the bodies of each segment; the sizes of the segments
// stay zero.
func countBodies(r pebble.Reader) (map[uint32]account, error) {
	counted := make(map[uint32]account)
	err := eachBlob(r, 0, func(_ BlobID, b blob) error {
		a := counted[b.segment]
		a.live += b.size
		a.bodies++
		counted[b.segment] = a
		return nil
	})
	return counted, err
}

// eachBlob calls f for every body that has references, by ascending ID, from
// one on.
func eachBlob(r pebble.Reader, from BlobID, f func(id BlobID, b blob) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: blobKey(from), UpperBound: afterBlobs})
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return indexFailure(err)
		}
		id, ok := blobOfKey(it.Key())
		if !ok {
			return &Damage{What: fmt.Sprintf("name of a body: %x", it.Key())}
		}
		b, err := parseBlob(value)
		if err != nil {
			return fmt.Errorf("body %x: %w", uint64(id), err)
		}
		if err := f(id, b); err != nil {
			return err
		}
	}
	return nil
}
