package message

import (
	"errors"
	"io"
)

var errNegativeOffset = errors.New("message: negative offset")

// resident is a Body whose octets already are in memory as one piece, so that
// Parse can look at them where they are. ok is false when they are not.
type resident interface {
	octets() (b []byte, ok bool)
}

// FromBytes makes a Body of b, which must not change while the Body is used.
func FromBytes(b []byte) Body { return slice(b) }

// slice is a Body in memory.
type slice []byte

func (s slice) Size() int64            { return int64(len(s)) }
func (s slice) octets() ([]byte, bool) { return s, true }

func (s slice) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errNegativeOffset
	}
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	n := copy(p, s[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// NewReader returns a reader over the whole of b, which can also seek. Each
// reader has a position of its own.
func NewReader(b Body) *io.SectionReader { return io.NewSectionReader(b, 0, b.Size()) }
