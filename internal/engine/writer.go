package engine

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	writeBuffer = 1 << 20  // octets gathered before they are written
	writeDirect = 64 << 10 // pieces from here on are written from where they are
)

// writer appends to one segment. off is where the next octet goes; everything
// before synced is durable.
type writer struct {
	file   vfs.File
	info   segmentInfo
	off    int64
	synced int64
	high   int64  // end of the file
	buf    []byte // the last octets before off, not yet written
	syncs  *atomic.Uint64
}

func (w *writer) position() position { return position{w.info.number, w.off} }

// append adds b.
func (w *writer) append(b []byte) error {
	if len(b) < writeDirect {
		w.buf = append(w.buf, b...)
		return w.added(len(b))
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.off += int64(len(b))
	return w.write(b)
}

// added says that n octets were put at the end of buf.
func (w *writer) added(n int) error {
	w.off += int64(n)
	if len(w.buf) < writeBuffer {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.write(w.buf)
	w.buf = w.buf[:0]
	if cap(w.buf) > 4*writeBuffer {
		w.buf = nil
	}
	return err
}

// write puts b before off.
func (w *writer) write(b []byte) error {
	n, err := w.file.WriteAt(b, w.off-int64(len(b)))
	w.high = max(w.high, w.off-int64(len(b))+int64(n))
	return err
}

// rewind takes back everything from off to on.
func (w *writer) rewind(off int64) {
	written := w.off - int64(len(w.buf))
	w.buf = w.buf[:max(0, off-written)]
	w.off = off
}

// sync writes what is gathered and makes it durable. An error that is a
// *writeError came before the sync, so that the end is still known.
func (w *writer) sync() error {
	if err := w.flush(); err != nil {
		return &writeError{err}
	}
	if w.high > w.off {
		if err := w.cut(); err != nil {
			return err
		}
	}
	w.syncs.Add(1)
	if err := w.file.SyncData(); err != nil {
		return err
	}
	w.synced = w.off
	return nil
}

// cut removes what the file holds after off, so that no record stands there
// that is not part of the log.
func (w *writer) cut() error {
	if f, ok := w.file.(interface{ Truncate(size int64) error }); ok {
		if err := f.Truncate(w.off); err != nil {
			return err
		}
		w.high = w.off
		return nil
	}
	zeros := make([]byte, min(writeBuffer, w.high-w.off))
	for at := w.off; at < w.high; {
		n, err := w.file.WriteAt(zeros[:min(int64(len(zeros)), w.high-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	w.high = w.off
	return nil
}

// writeError is a failure to write, before any sync.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

func isWriteError(err error) bool {
	var w *writeError
	return errors.As(err, &w)
}
