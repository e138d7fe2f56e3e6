package engine

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Bodies calls f for every body that has references at the snapshot's moment,
// by ascending ID, with its size in octets and its number of references. It
// stops at the first error of f and returns it.
func (s *Snapshot) Bodies(ctx context.Context, f func(id BlobID, size int64, refs int) error) (err error) {
	if s.s == nil || s.closed.Load() {
		return ErrClosed
	}
	it, err := s.s.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte(keyBlob), UpperBound: append([]byte(keyBlob), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)})
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return indexFailure(err)
		}
		id, ok := blobOfKey(it.Key())
		if !ok {
			continue
		}
		b, err := parseBlob(value)
		if err != nil {
			return err
		}
		if err := f(id, b.size, int(b.refs)); err != nil {
			return err
		}
	}
	return nil
}
