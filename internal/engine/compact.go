package engine

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
)

const (
	compactBatch  = 64      // bodies that move in one go
	compactOctets = 4 << 20 // octets of them at most, but for the last
)

// move is a body on its way to the current segment.
type move struct {
	id   BlobID
	from blob
}

// Compact gives space back: of the segments that are not written any more and
// of which at least half is dead, it takes the one with the most dead octets
// and moves its live bodies to the current segment. The segment is removed
// when the index has been flushed past the move and its last reader is gone.
// Compact returns the octets that are given back by that, 0 when no segment
// is worth it. A body that can't be read stays where it is, and the segment
// with it; the error is an ErrDamaged then.
func (e *Engine) Compact(ctx context.Context) (freed int64, err error) {
	e.compacting.Lock()
	defer e.compacting.Unlock()
	number, acc, ok := e.mostDead()
	if !ok {
		return 0, nil
	}
	var failed error
	for next := BlobID(0); ; {
		var batch []move
		if batch, next, err = e.liveIn(ctx, number, next); err != nil {
			return 0, err
		}
		if len(batch) == 0 {
			break
		}
		if err := e.moveAll(ctx, batch); errors.Is(err, ErrDamaged) {
			failed = err
		} else if err != nil {
			return 0, err
		}
	}
	if failed != nil {
		e.stuck[number] = true
		return 0, failed
	}
	e.janitor.flush()
	return acc.size - acc.live, nil
}

// mostDead picks the segment to compact.
func (e *Engine) mostDead() (number uint32, acc account, ok bool) {
	numbers := e.accounts.numbers()
	for _, n := range numbers[:max(0, len(numbers)-1)] {
		a := e.accounts.get(n)
		dead := a.size - a.live
		if a.bodies > 0 && !e.files.readOnly(n) && dead >= a.live && dead > acc.size-acc.live && !e.stuck[n] {
			number, acc, ok = n, a, true
		}
	}
	return number, acc, ok
}

// liveIn returns some bodies of a segment, from the body named by from on, and
// where to go on.
func (e *Engine) liveIn(ctx context.Context, number uint32, from BlobID) (batch []move, next BlobID, err error) {
	if !e.gate.enter() {
		return nil, 0, ErrClosed
	}
	defer e.gate.leave()
	it, err := e.db.NewIterWithContext(ctx, &pebble.IterOptions{
		LowerBound: blobKey(from), UpperBound: []byte(keyBlob[:1] + "c"),
	})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	octets := int64(0)
	for ok := it.First(); ok && len(batch) < compactBatch && octets < compactOctets; ok = it.Next() {
		b, err := parseBlob(it.Value())
		if err != nil {
			return nil, 0, err
		}
		id := BlobID(binary.BigEndian.Uint64(it.Key()[len(keyBlob):]))
		next = id + 1
		if b.segment == number {
			batch = append(batch, move{id, b})
			octets += b.size
		}
	}
	return batch, next, nil
}

// moveAll moves bodies, sharing syncs. It goes on after damage.
func (e *Engine) moveAll(ctx context.Context, batch []move) error {
	var g errgroup.Group
	for i := range batch {
		g.Go(func() error { return e.moveOne(ctx, &batch[i]) })
	}
	return g.Wait()
}

func (e *Engine) moveOne(ctx context.Context, m *move) error {
	body, err := e.Open(m.id)
	if errors.Is(err, ErrNoBlob) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	r := e.requests.Get().(*request)
	r.move = m
	if err := e.preparer.prepare(ctx, body, &r.body); err != nil {
		return err
	}
	if err := e.submit(ctx, r); !errors.Is(err, errMoved) {
		return err
	}
	return nil
}
