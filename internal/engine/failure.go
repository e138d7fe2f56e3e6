package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
)

// refuse decides what a group's failure means: a full disk before the sync
// costs this group, everything else is final.
func (e *Engine) refuse(err error) error {
	var creating *createError
	if errors.As(err, &creating) {
		return noSpace(err)
	}
	if isWriteError(err) && isFull(err) {
		at, _ := e.files.places.get(e.w.info.number)
		e.space.avoid(at.location)
		e.w.rewind(e.w.synced)
		cut := e.w.cut()
		if cut == nil {
			return noSpace(err)
		}
		err = errors.Join(err, cut)
	}
	e.log.Error("mail log could not be written; no more changes until it is opened again", "error", err)
	return e.failure.set(err)
}

// refuseBody is why a change with a body is refused when no location takes it.
func (e *Engine) refuseBody() error {
	e.full.Store(true)
	e.compactor.wake()
	return fmt.Errorf("%w: %w", ErrNoSpace, syscall.ENOSPC)
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func noSpace(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// failure is why an engine takes no more changes.
type failure struct {
	err atomic.Pointer[error]
}

func (f *failure) get() error {
	if p := f.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *failure) set(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	f.err.CompareAndSwap(nil, &err)
	return f.get()
}
