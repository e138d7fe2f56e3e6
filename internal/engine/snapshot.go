package engine

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is the index as it stood at one moment. It must be closed, soon:
// while it is open, space of overwritten keys is not given back.
type Snapshot struct{ s *pebble.Snapshot }

// Snapshot returns the index as it stands now.
func (e *Engine) Snapshot() *Snapshot { return &Snapshot{e.db.NewSnapshot()} }

// Get is Engine.Get at the snapshot's moment.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) { return get(s.s, key) }

// Scan is Engine.Scan at the snapshot's moment.
func (s *Snapshot) Scan(ctx context.Context, from, to []byte, f func(key, value []byte) error) error {
	return scan(ctx, s.s, from, to, f)
}

// Close ends the snapshot.
func (s *Snapshot) Close() error { return s.s.Close() }
