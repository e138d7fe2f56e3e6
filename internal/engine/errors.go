package engine

import (
	"errors"
	"fmt"
)

// Errors of an engine. Test for them with errors.Is.
var (
	// ErrLocked: another process, or another Engine of this one, has the directory open.
	ErrLocked = errors.New("engine: directory is in use")
	// ErrClosed: the engine has been closed.
	ErrClosed = errors.New("engine: closed")
	// ErrNoBlob: no such body, or no longer: its reference count is zero.
	ErrNoBlob = errors.New("engine: no such body")
	// ErrDamaged: octets on disk are not what was written. The error is a *Damage.
	ErrDamaged = errors.New("engine: damaged")
	// ErrFailed: an earlier write or sync failed, and nobody knows what is on
	// disk; changes are refused until the engine is opened again. Reads go on.
	ErrFailed = errors.New("engine: refuses changes after a failure")
	// ErrTooLarge: a change has more keys and values than a record may hold, or a
	// body of more than 2 GiB.
	ErrTooLarge = errors.New("engine: change is too large")
	// ErrNoSpace: the disk is full, or so nearly that only changes without a
	// body are taken. The error is a syscall.ENOSPC as well; what frees space
	// makes the engine take changes again.
	ErrNoSpace = errors.New("engine: no space on the disk")
	// ErrLocation: a location of segments can't be used: it is not there, it is
	// not the one that it was, or it holds a segment that another one holds too.
	ErrLocation = errors.New("engine: location can't be used")
	// ErrBadKey: a key is empty or begins with '!', which are the engine's own.
	ErrBadKey = errors.New("engine: key not allowed")
)

// Damage says where octets on disk are not what was written. It is an
// ErrDamaged.
type Damage struct {
	Segment uint32 // number of the segment; 0: the index
	Offset  int64  // octets from the start of the segment's file
	What    string
}

func (d *Damage) Error() string {
	if d.Segment == 0 {
		return "engine: index damaged: " + d.What
	}
	return fmt.Sprintf("engine: segment %d damaged at offset %d: %s", d.Segment, d.Offset, d.What)
}

// Is reports whether target is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
