package local

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// A frame of an archive: kind, length of what follows, and a CRC-32C over the
// sum of the frame before it, kind, length and content. So a frame that is
// missing, or comes twice or in the place of another, is noticed as one that is
// damaged.
const (
	frameHeadSize = 1 + 4 + 4
	maxFrame      = 16 << 20 // octets of content: more than any record takes
	frameStep     = 64 << 10 // by how much the memory for a content grows at least, so that a length alone takes none
	dataSize      = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSum is the sum of a frame, given that of the frame before it and its
// head without the sum.
func frameSum(before uint32, head, content []byte) uint32 {
	return crc32.Update(crc32.Update(before, castagnoli, head), castagnoli, content)
}

// frameWriter writes an archive.
type frameWriter struct {
	w      *bufio.Writer
	sum    uint32
	octets int64 // written so far
}

func newFrameWriter(w io.Writer) (*frameWriter, error) {
	f := &frameWriter{w: bufio.NewWriterSize(w, frameStep), octets: int64(len(archiveMagic))}
	_, err := f.w.WriteString(archiveMagic)
	return f, err
}

func (f *frameWriter) write(kind byte, content []byte) error {
	if len(content) > maxFrame {
		return badArchive("a frame of %d octets", len(content))
	}
	head := binary.BigEndian.AppendUint32(append(make([]byte, 0, frameHeadSize), kind), uint32(len(content)))
	f.sum = frameSum(f.sum, head, content)
	f.octets += int64(frameHeadSize + len(content))
	_, err := f.w.Write(binary.BigEndian.AppendUint32(head, f.sum))
	if err == nil {
		_, err = f.w.Write(content)
	}
	return err
}

// frameReader reads an archive, and not an octet behind its end.
type frameReader struct {
	r       io.Reader
	sum     uint32
	content []byte
}

// newFrameReader reads the magic.
func newFrameReader(r io.Reader) (*frameReader, error) {
	magic := make([]byte, len(archiveMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, tooShort(err)
	}
	if string(magic) != archiveMagic {
		return nil, badArchive("it does not begin as one")
	}
	return &frameReader{r: r}, nil
}

// next reads a frame. Its content is valid until the next call.
func (f *frameReader) next() (kind byte, content []byte, err error) {
	var head [frameHeadSize]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, tooShort(err)
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrame {
		return 0, nil, badArchive("a frame of %d octets", size)
	}
	f.content = f.content[:0]
	for len(f.content) < size {
		at := len(f.content)
		n := min(size-at, max(frameStep, at)) // no more than has come already
		if cap(f.content) < at+n {
			f.content = append(make([]byte, 0, at+n), f.content...)
		}
		f.content = f.content[:at+n]
		if _, err := io.ReadFull(f.r, f.content[at:]); err != nil {
			return 0, nil, tooShort(err)
		}
	}
	f.sum = frameSum(f.sum, head[:5], f.content)
	if f.sum != binary.BigEndian.Uint32(head[5:]) {
		return 0, nil, badArchive("a frame is damaged or missing")
	}
	return head[0], f.content, nil
}

// tooShort says so of an archive that ends; other errors are the reader's own.
func tooShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badArchive("it ends too early")
	}
	return err
}
