package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// walker reads a segment's records one after the other.
type walker struct {
	file io.ReaderAt
	info segmentInfo
	size int64 // of the file
	win  window
}

func newWalker(f io.ReaderAt, info segmentInfo, size int64) *walker {
	return &walker{file: f, info: info, size: size, win: window{file: f, size: size}}
}

// record is one record without its body. Its slices are valid until the next
// call of the walker.
type record struct {
	head
	ops  []byte
	sums []byte // four octets each
}

// at reads the record at off. ok is false when there is none: the octets are
// not what appendRecord makes. Its body is not looked at.
func (w *walker) at(off int64) (r record, ok bool, err error) {
	b, err := w.win.bytes(off, recordHead)
	if err != nil {
		return r, false, err
	}
	r.head, ok = parseHead(b, w.info.salt, off, w.size)
	if !ok || r.bodyAt() > w.size {
		return r, false, nil
	}
	sum := binary.BigEndian.Uint32(b[8:])
	if b, err = w.win.bytes(off, int(r.bodyAt()-off)); err != nil {
		return r, false, err
	}
	if len(b) < int(r.bodyAt()-off) || checksum(b[12:]) != sum {
		return r, false, nil
	}
	r.ops, r.sums = b[recordHead:recordHead+r.changes], b[recordHead+r.changes:]
	return r, true, nil
}

// body reports whether a record's body is what was written; bad is where it
// is not.
func (w *walker) body(r record) (bad int64, ok bool, err error) {
	buf := make([]byte, min(chunkSize, r.body))
	for i := int64(0); i*chunkSize < r.body; i++ {
		at := r.bodyAt() + i*chunkSize
		piece := buf[:min(chunkSize, r.body-i*chunkSize)]
		n, err := w.file.ReadAt(piece, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return at, false, err
		}
		if n < len(piece) || checksum(piece) != binary.BigEndian.Uint32(r.sums[4*i:]) {
			return at, false, nil
		}
	}
	return 0, true, nil
}

// next finds the first record whose head is good after off, or the end.
func (w *walker) next(off int64) (r record, ok bool, err error) {
	for {
		if off, ok, err = w.find(off + 1); !ok || err != nil {
			return r, false, err
		}
		if r, ok, err = w.at(off); ok || err != nil {
			return r, ok, err
		}
	}
}

// find looks for the segment's salt from off on.
func (w *walker) find(off int64) (int64, bool, error) {
	const step = 256 << 10
	buf := make([]byte, step)
	for off < w.size {
		n, err := w.file.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, false, err
		}
		if i := bytes.Index(buf[:n], w.info.salt[:]); i >= 0 {
			return off + int64(i), true, nil
		}
		if n < len(buf) {
			break
		}
		off += step - int64(len(salt{})) + 1
	}
	return 0, false, nil
}

// window reads ahead.
type window struct {
	file io.ReaderAt
	size int64
	off  int64
	buf  []byte
}

const readAhead = 64 << 10

// bytes returns n octets from off, or those there are.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		want := min(int64(max(n, readAhead)), max(0, w.size-off))
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.off = w.buf[:want], off
		k, err := w.file.ReadAt(w.buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			w.buf = w.buf[:0]
			return nil, err
		}
		w.buf = w.buf[:k]
	}
	b := w.buf[off-w.off:]
	return b[:min(n, len(b))], nil
}
