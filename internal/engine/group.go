package engine

import (
	"errors"
	"fmt"
)

// group is the changes that share one sync.
type group struct {
	e        *Engine
	w        *writer
	stage    *staging
	blobs    *blobChanges
	tx       *Tx
	start    int64      // where it begins in the segment
	begin    int64      // where the change being added begins
	counts   []newCount // of the change being added
	accepted int
	err      error // why none of it is made
}

var errMoved = errors.New("engine: body has moved or gone")

// newCount is what a change makes of a body's count.
type newCount struct {
	id       BlobID
	was, now blob
}

func (e *Engine) newGroup() *group {
	g := &group{
		e: e, w: e.w, stage: newStaging(e.db), blobs: newBlobChanges(e.db),
		tx: &e.tx, counts: e.counts, start: e.w.off,
	}
	g.tx.g = g
	return g
}

// hasRoom reports whether a body may still be added where the group is written.
func (g *group) hasRoom(octets int64) bool {
	at, _ := g.e.files.places.get(g.w.info.number)
	return g.e.space.hasRoom(at.location, g.w.off-g.start+octets)
}

// add builds one change and appends its record. The error refuses this change
// alone; g.err refuses all.
func (g *group) add(r *request) error {
	g.begin = g.w.off
	g.tx.reset()
	g.counts = g.counts[:0]
	err := g.build(r)
	if err == nil {
		err = g.count(r)
	}
	if err == nil {
		err = g.append(r)
	}
	if err == nil {
		g.accepted++
		return nil
	}
	r.undo()
	g.w.rewind(g.begin)
	if failure := g.stage.rollback(); failure != nil {
		g.fail(failure)
	}
	return err
}

// fail refuses the whole group.
func (g *group) fail(err error) error {
	if g.err == nil {
		g.err = err
	}
	return err
}

// build writes a large body and lets the caller make the change.
func (g *group) build(r *request) error {
	if r.body.large() {
		if err := g.stream(&r.body); err != nil {
			return err
		}
	}
	if r.move != nil {
		return nil
	}
	if r.body.there {
		g.tx.blob = newBlobID(g.w.info.number, g.begin)
	}
	r.begun = true
	if err := r.change.Build(g.tx); err != nil {
		return err
	}
	return g.tx.err
}

// stream writes a large body as a record of its own, before its change.
func (g *group) stream(b *prepared) error {
	h := head{kind: kindBody, off: g.w.off, group: g.start, body: b.size}
	at := len(g.w.buf)
	g.w.buf = appendRecord(g.w.buf, g.w.info.salt, h, nil, b.sums)
	if err := g.w.added(len(g.w.buf) - at); err != nil {
		return g.fail(&writeError{err})
	}
	buf := make([]byte, streamChunk)
	for at := int64(0); at < b.size; at += streamChunk {
		piece := buf[:min(streamChunk, b.size-at)]
		if err := b.read(piece, at); err != nil {
			return err
		}
		if err := g.w.append(piece); err != nil {
			return g.fail(&writeError{err})
		}
	}
	return nil
}

// count works out what the change makes of the counts of bodies, and adds
// that to its record. The change's own body comes last, when it is known
// where it will be.
func (g *group) count(r *request) error {
	for _, ref := range g.tx.refs {
		if r.body.there && ref.blob == g.tx.blob {
			continue
		}
		was, err := g.blobs.get(ref.blob)
		if err != nil {
			return err
		}
		now, ok := was.addRefs(ref.n)
		if was.refs == 0 || !ok {
			return fmt.Errorf("%w: %d references and %d more", ErrNoBlob, was.refs, ref.n)
		}
		g.setCount(newCount{ref.blob, was, now})
	}
	own, err := g.ownCount(r)
	if err != nil {
		return err
	}
	if own.id == 0 || own.now.refs == 0 {
		r.body.drop = true
		return nil
	}
	table := 4 * int64(len(r.body.sums))
	own.now.off = g.begin + recordHead + table
	if !r.body.large() {
		own.now.off += int64(len(g.tx.ops)) + blobOpLen
	}
	g.setCount(own)
	return nil
}

func (g *group) setCount(c newCount) {
	g.counts = append(g.counts, c)
	g.e.counts = g.counts[:0]
	if c.now.refs == 0 {
		g.tx.ops = appendDelete(g.tx.ops, blobKey(c.id))
		return
	}
	g.tx.ops = appendSet(g.tx.ops, blobKey(c.id), c.now.value())
}

// ownCount is that of the change's own body, without its place. The id is 0
// when it has none.
func (g *group) ownCount(r *request) (c newCount, err error) {
	if !r.body.there {
		return c, nil
	}
	c = newCount{id: g.tx.blob, now: blob{segment: g.w.info.number, size: r.body.size, sum: tableSum(r.body.sums)}}
	if r.move != nil {
		c.id = r.move.id
		if c.was, err = g.blobs.get(c.id); err != nil {
			return c, err
		}
		if c.was.refs == 0 || c.was.segment != r.move.from.segment || c.was.off != r.move.from.off {
			return c, errMoved
		}
		c.now.refs = c.was.refs
		return c, nil
	}
	for _, ref := range g.tx.refs {
		if ref.blob != c.id {
			continue
		}
		var ok bool
		if c.now, ok = c.now.addRefs(ref.n); !ok {
			return c, fmt.Errorf("%w: %d references", ErrNoBlob, ref.n)
		}
	}
	return c, nil
}

// append adds the change to the group: to its batch, to the accounts, and to
// the log.
func (g *group) append(r *request) error {
	if len(g.tx.ops) > maxChanges {
		return ErrTooLarge
	}
	for _, ops := range [2][]byte{g.tx.ops[g.tx.staged:], g.tx.cache} {
		if err := g.stage.add(ops); err != nil {
			return g.fail(err)
		}
	}
	g.stage.accept()
	for _, c := range g.counts {
		g.blobs.set(c.id, c.was, c.now)
	}
	h := head{kind: kindChange, off: g.w.off, group: g.start}
	var sums []uint32
	if r.body.there && !r.body.large() && !r.body.drop {
		h.body, sums = r.body.size, r.body.sums
	}
	if len(g.tx.ops) == 0 {
		return nil
	}
	at := len(g.w.buf)
	g.w.buf = appendRecord(g.w.buf, g.w.info.salt, h, g.tx.ops, sums)
	err := g.w.added(len(g.w.buf) - at)
	if err == nil && h.body > 0 {
		err = g.w.append(r.body.data)
	}
	if err != nil {
		return g.fail(&writeError{err})
	}
	return nil
}

// commit makes the group durable and then visible.
func (g *group) commit() error {
	if g.w.off == g.start {
		return g.stage.apply() // at most caches
	}
	if err := g.w.sync(); err != nil {
		return err
	}
	g.e.files.places.grow(g.w.info.number, g.w.off)
	g.blobs.accounts.end(g.w.position())
	after := g.e.accounts.with(g.blobs.accounts)
	if err := g.stage.finish(after, g.w.position()); err != nil {
		return err
	}
	less, emptied := g.e.accounts.set(after)
	if less {
		g.e.compactor.wake()
	}
	if emptied {
		g.e.janitor.wake()
	}
	return nil
}
