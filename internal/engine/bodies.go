package engine

import (
	"context"
)

// Bodies calls f for every body that has references at the snapshot's moment,
// by ascending ID, with its size in octets and its number of references. It
// stops at the first error of f and returns it.
func (s *Snapshot) Bodies(ctx context.Context, f func(id BlobID, size int64, refs int) error) error {
	if s.s == nil || s.closed.Load() {
		return ErrClosed
	}
	return eachBlob(s.s, 0, func(id BlobID, b blob) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return f(id, b.size, int(b.refs))
	})
}
