package engine

import (
	"io"
	"sync"
)

// aheadSize is how much of a segment is read at once for who reads bodies one
// after the other.
const aheadSize = 128 << 10

// ahead reads a segment in large pieces as long as each read begins where, or
// soon behind where, the last one ended. It is for one goroutine.
type ahead struct {
	file *segmentFile
	buf  *[aheadSize]byte // nil: nothing was read ahead yet
	off  int64            // of what is in buf
	n    int              // octets in buf
	next int64            // where the last read ended
}

// aheadGap is how far behind the last read one may begin: the heads of records
// and changes stand between bodies.
const aheadGap = 16 << 10

// ReadAt reads as io.ReaderAt says.
func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	follows := off >= a.next && off <= a.next+aheadGap
	a.next = off + int64(len(p))
	if !a.holds(p, off) && follows && len(p) <= aheadSize/2 {
		if err := a.fill(off); err != nil {
			return 0, err
		}
	}
	if a.holds(p, off) {
		return copy(p, a.buf[off-a.off:a.n]), nil
	}
	return a.file.ReadAt(p, off)
}

func (a *ahead) holds(p []byte, off int64) bool {
	return off >= a.off && off+int64(len(p)) <= a.off+int64(a.n)
}

func (a *ahead) fill(off int64) error {
	if a.buf == nil {
		a.buf = aheadPool.Get().(*[aheadSize]byte)
	}
	a.off, a.n = off, 0
	n, err := a.file.ReadAt(a.buf[:], off)
	if err == io.EOF { // where the segment ends now
		err = nil
	}
	a.n = n
	return err
}

// of makes a read of file.
func (a *ahead) of(file *segmentFile) *ahead {
	if a.file != file {
		a.file, a.n, a.next = file, 0, -1
	}
	return a
}

// forget drops what was read ahead.
func (a *ahead) forget() { a.n = 0 }

// close gives the memory back.
func (a *ahead) close() {
	if a.buf != nil {
		aheadPool.Put(a.buf)
	}
	*a = ahead{}
}

var aheadPool = sync.Pool{New: func() any { return new([aheadSize]byte) }}
