package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/posthouse-mail/posthouse/message"
)

const (
	largeBody   = 1 << 20  // bodies from here on are not held in memory
	bodyMemory  = 64 << 20 // octets of bodies in memory at one time
	streamChunk = 4 * chunkSize

	// maxBody bounds a body, so that whatever follows it in its segment still
	// begins at an offset of four octets.
	maxBody = 2 << 30
)

// prepared is a body with its checksums. Those of a small body's octets are in
// data; a large body is read again when it is written.
type prepared struct {
	there bool // false: the change has no body
	drop  bool // nobody refers to it, so that it need not be kept
	body  message.Body
	size  int64
	data  []byte
	sums  []uint32
	one   [1]uint32 // space for sums
}

func (b *prepared) large() bool { return b.size >= largeBody }

// read fills p, which is whole chunks, from off on and checks that the body
// still is what it was.
func (b *prepared) read(p []byte, off int64) error {
	if err := readFull(b.body, p, off); err != nil {
		return err
	}
	for at := 0; at < len(p); at += chunkSize {
		if checksum(p[at:min(at+chunkSize, len(p))]) != b.sums[(off+int64(at))/chunkSize] {
			return errors.New("engine: the body changed while it was stored")
		}
	}
	return nil
}

// preparer reads bodies in their callers' goroutines, within a bound of memory.
type preparer struct {
	memory *semaphore.Weighted
	pool   sync.Pool // *[]byte
}

func newPreparer() *preparer {
	return &preparer{memory: semaphore.NewWeighted(bodyMemory)}
}

// prepare reads the body and computes its checksums. release must be called
// when it returns no error.
func (p *preparer) prepare(ctx context.Context, b message.Body, into *prepared) error {
	*into = prepared{there: true, body: b, size: b.Size()}
	switch {
	case into.size < 0:
		return fmt.Errorf("engine: body of %d octets", into.size)
	case into.size > maxBody:
		return fmt.Errorf("%w: a body of %d octets", ErrTooLarge, into.size)
	}
	into.sums = into.one[:0]
	if into.large() {
		return p.sumLarge(ctx, into)
	}
	if err := p.memory.Acquire(ctx, into.size); err != nil {
		return err
	}
	into.data = p.buffer(int(into.size))
	if err := readFull(b, into.data, 0); err != nil {
		p.release(into)
		return err
	}
	for at := 0; at < len(into.data); at += chunkSize {
		into.sums = append(into.sums, checksum(into.data[at:min(at+chunkSize, len(into.data))]))
	}
	return nil
}

func (p *preparer) sumLarge(ctx context.Context, into *prepared) error {
	into.sums = make([]uint32, 0, chunks(into.size))
	buf := p.buffer(chunkSize)
	defer p.put(buf)
	for at := int64(0); at < into.size; at += chunkSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := buf[:min(chunkSize, into.size-at)]
		if err := readFull(into.body, piece, at); err != nil {
			return err
		}
		into.sums = append(into.sums, checksum(piece))
	}
	return nil
}

// release gives the body's memory back.
func (p *preparer) release(b *prepared) {
	if b.data == nil {
		return
	}
	p.memory.Release(b.size)
	p.put(b.data)
	b.data = nil
}

func (p *preparer) buffer(n int) []byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:n]
	}
	size := 4 << 10
	for size < n {
		size *= 2
	}
	return make([]byte, n, size)
}

func (p *preparer) put(b []byte) {
	if cap(b) <= 2*chunkSize {
		p.pool.Put(&b)
	}
}

// readFull reads len(p) octets of b at off.
func readFull(b io.ReaderAt, p []byte, off int64) error {
	n, err := b.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("engine: reading the body: %w", err)
}
