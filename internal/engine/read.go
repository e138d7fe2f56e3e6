package engine

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Get returns the value of key; ok is false when there is none. The value is
// the caller's.
func (e *Engine) Get(key []byte) (value []byte, ok bool, err error) {
	if !e.gate.enter() {
		return nil, false, ErrClosed
	}
	defer e.gate.leave()
	return getKey(e.db, key)
}

// getOwn is Get for the engine's own keys.
func (e *Engine) getOwn(key []byte) (value []byte, ok bool, err error) {
	if !e.gate.enter() {
		return nil, false, ErrClosed
	}
	defer e.gate.leave()
	return get(e.db, key)
}

// Scan calls f for every key in [from, to) in order, as everything stood at
// one moment. A nil from or to is no bound. Key and value are valid during the
// call only. Scan stops at the first error of f and returns it, or ctx's.
func (e *Engine) Scan(ctx context.Context, from, to []byte, f func(key, value []byte) error) error {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	return scan(ctx, e.db, from, to, f)
}

// PutCache stores a value that can be computed again, outside of a change: it
// can be read at once and may be missing after a crash. A nil value removes
// it. The key must not be used with Tx.Set as well.
func (e *Engine) PutCache(key, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	if value == nil {
		return e.db.Delete(key, pebble.NoSync)
	}
	return e.db.Set(key, value, pebble.NoSync)
}

// Snapshot is the index as it stood at one moment. It must be closed, soon:
// while it is open, space of overwritten keys is not given back, and Close of
// the engine waits.
type Snapshot struct {
	e      *Engine
	s      *pebble.Snapshot // nil: the engine was closed
	closed atomic.Bool
}

// Snapshot returns the index as it stands now.
func (e *Engine) Snapshot() *Snapshot {
	if !e.gate.enter() {
		return &Snapshot{}
	}
	return &Snapshot{e: e, s: e.db.NewSnapshot()}
}

// Get is Engine.Get at the snapshot's moment.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	if s.s == nil || s.closed.Load() {
		return nil, false, ErrClosed
	}
	return getKey(s.s, key)
}

// Scan is Engine.Scan at the snapshot's moment.
func (s *Snapshot) Scan(ctx context.Context, from, to []byte, f func(key, value []byte) error) error {
	if s.s == nil || s.closed.Load() {
		return ErrClosed
	}
	return scan(ctx, s.s, from, to, f)
}

// Close ends the snapshot. A second Close does nothing.
func (s *Snapshot) Close() error {
	if s.s == nil || s.closed.Swap(true) {
		return nil
	}
	defer s.e.gate.leave()
	return s.s.Close()
}
