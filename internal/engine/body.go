package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/posthouse-mail/posthouse/message"
)

// Open opens a body for reading. ErrNoBlob: it has no references (any more);
// ErrDamaged, also from its ReadAt: the body is not what was written. A body
// that is open stays readable when its last reference goes, and after Close
// of the engine.
func (e *Engine) Open(id BlobID) (message.OpenBody, error) {
	body, err := e.openWith(id, nil)
	if err != nil {
		return nil, err
	}
	return body, nil
}

// openWith is Open; with ahead, the body is read through it.
func (e *Engine) openWith(id BlobID, ahead *ahead) (*openBody, error) {
	for attempt := 0; ; attempt++ {
		v, ok, err := e.getOwn(blobKey(id))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, ErrNoBlob
		}
		b, err := parseBlob(v)
		if err != nil {
			return nil, err
		}
		f, err := e.files.acquire(b.segment)
		if err == nil {
			return e.openBody(f, b, ahead)
		}
		// A body that has just moved is found at its new place.
		if !errors.Is(err, errNoSegment) {
			return nil, err
		}
		if attempt == 3 {
			return nil, &Damage{Segment: b.segment, Offset: b.off, What: "segment is missing"}
		}
	}
}

func (e *Engine) openBody(f *segmentFile, b blob, ahead *ahead) (*openBody, error) {
	body := &openBody{files: e.files, file: f, blob: b, ahead: ahead}
	n := chunks(b.size)
	if n <= 1 {
		body.sums, body.checked = body.oneSum[:n], body.oneFlag[:]
		if n == 1 {
			body.sums[0] = b.sum
		}
		return body, nil
	}
	if err := body.readTable(n); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// openBody reads a body from its segment. A chunk's checksum is compared when
// something of the chunk is read for the first time.
type openBody struct {
	files   *files
	file    *segmentFile
	blob    blob
	sums    []uint32
	checked []atomic.Uint32 // a bit for each chunk
	closed  atomic.Bool
	ahead   *ahead // nil: the file is read directly

	oneSum  [1]uint32
	oneFlag [1]atomic.Uint32
}

func (b *openBody) readTable(n int64) error {
	if n > b.blob.off/4 {
		return b.damage(0, "size of the body")
	}
	table := make([]byte, 4*n)
	ok, err := b.readSummed(table, -int64(len(table)), b.blob.sum)
	if err != nil {
		return err
	}
	if !ok {
		return b.damage(-int64(len(table)), "checksums of the body")
	}
	b.sums = make([]uint32, n)
	for i := range b.sums {
		b.sums[i] = binary.BigEndian.Uint32(table[4*i:])
	}
	b.checked = make([]atomic.Uint32, (n+31)/32)
	return nil
}

// Size returns the body's octets.
func (b *openBody) Size() int64 { return b.blob.size }

// Close gives the segment back. A second Close does nothing.
func (b *openBody) Close() error {
	if !b.closed.Swap(true) {
		b.files.release(b.file)
	}
	return nil
}

// ReadAt reads as io.ReaderAt says, and returns no octet that is not checked.
func (b *openBody) ReadAt(p []byte, off int64) (n int, err error) {
	switch {
	case b.closed.Load():
		return 0, os.ErrClosed
	case off < 0:
		return 0, fmt.Errorf("engine: negative offset %d", off)
	case off >= b.blob.size:
		return 0, io.EOF
	}
	if room := b.blob.size - off; int64(len(p)) > room {
		p, err = p[:room], io.EOF
	}
	for n < len(p) {
		k, failure := b.readChunk(p[n:], off+int64(n))
		if failure != nil {
			return n, failure
		}
		n += k
	}
	return n, err
}

// readChunk fills p from off on, up to the end of the chunk or, where the
// chunks were checked before, as far as they were.
func (b *openBody) readChunk(p []byte, off int64) (int, error) {
	i := off / chunkSize
	if b.isChecked(i) {
		last := i + 1
		for last < int64(len(b.sums)) && last*chunkSize < off+int64(len(p)) && b.isChecked(last) {
			last++
		}
		p = p[:min(int64(len(p)), last*chunkSize-off)]
		return len(p), b.read(p, off)
	}
	begin := i * chunkSize
	size := min(chunkSize, b.blob.size-begin)
	if off == begin && int64(len(p)) >= size {
		return int(size), b.readChecked(p[:size], i)
	}
	chunk := chunkPool.Get().(*[chunkSize]byte)
	defer chunkPool.Put(chunk)
	if err := b.readChecked(chunk[:size], i); err != nil {
		return 0, err
	}
	return copy(p, chunk[off-begin:size]), nil
}

// readChecked fills p with the whole of chunk i.
func (b *openBody) readChecked(p []byte, i int64) error {
	ok, err := b.readSummed(p, i*chunkSize, b.sums[i])
	if err != nil {
		return err
	}
	if !ok {
		return b.damage(i*chunkSize, "body")
	}
	b.checked[i/32].Or(1 << (i % 32))
	return nil
}

func (b *openBody) isChecked(i int64) bool { return b.checked[i/32].Load()&(1<<(i%32)) != 0 }

// readSummed fills p from off of the body on and reports whether that has a checksum.
func (b *openBody) readSummed(p []byte, off int64, sum uint32) (bool, error) {
	if err := b.read(p, off); err != nil || checksum(p) == sum {
		return err == nil, err
	}
	if b.ahead == nil {
		return false, nil
	}
	// What was read ahead may not have been written yet.
	b.ahead.forget()
	b.ahead = nil
	return b.readSummed(p, off, sum)
}

// read fills p from off of the body on.
func (b *openBody) read(p []byte, off int64) error {
	var file io.ReaderAt = b.file
	if b.ahead != nil {
		file = b.ahead.of(b.file)
	}
	n, err := file.ReadAt(p, b.blob.off+off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return b.damage(off+int64(n), "segment is too short")
	}
	return err
}

func (b *openBody) damage(off int64, what string) error {
	return &Damage{Segment: b.blob.segment, Offset: b.blob.off + off, What: what}
}

var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}
