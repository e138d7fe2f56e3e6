package message

import (
	"io"
	"os"
)

const (
	spoolMemory = 64 << 10 // default of NewSpool's memory
	spoolChunk  = 64 << 10 // octets gathered for one write to the file
)

// Spool collects a message while it arrives. A small message stays in memory,
// a larger one goes to a temporary file that has no name, so that nothing is
// left behind however the process ends. A Spool is no durable storage.
//
// Write first, read then: one goroutine writes; once it is done, the Spool is
// a Body for any number of readers until Close.
type Spool struct {
	dir    string
	memory int
	create func(dir string) (*os.File, error)

	file *os.File // nil while everything is in memory
	kept int64    // octets in file
	tail []byte   // what follows them
	err  error    // what every further Write returns
}

var _ OpenBody = (*Spool)(nil)

// NewSpool returns an empty Spool that holds up to memory octets in memory
// (0: 64 KiB) and then writes to a temporary file in dir ("": os.TempDir).
// The file is made when it is needed and unlinked at once.
func NewSpool(dir string, memory int64) *Spool {
	if memory <= 0 {
		memory = spoolMemory
	}
	return &Spool{dir: dir, memory: int(memory), create: createUnlinked}
}

// Write adds p. After an error, such as a full disk, the message is not whole
// and every further Write returns the same error. After Close the error is
// os.ErrClosed.
func (s *Spool) Write(p []byte) (n int, err error) {
	for len(p) > 0 && s.err == nil {
		room := s.limit() - len(s.tail)
		if room <= 0 {
			s.err = s.flush()
			continue
		}
		k := min(room, len(p))
		s.tail = append(s.tail, p[:k]...)
		n, p = n+k, p[k:]
	}
	return n, s.err
}

// limit is how much the tail may hold: all of the memory at first, and a
// chunk as soon as there is a file.
func (s *Spool) limit() int {
	if s.file == nil {
		return s.memory
	}
	return spoolChunk
}

// flush moves the tail to the file.
func (s *Spool) flush() (err error) {
	if s.file == nil {
		if s.file, err = s.create(s.dir); err != nil {
			return err
		}
	}
	if _, err = s.file.WriteAt(s.tail, s.kept); err != nil {
		return err
	}
	s.kept += int64(len(s.tail))
	if cap(s.tail) > 2*spoolChunk {
		s.tail = nil
	}
	s.tail = s.tail[:0]
	return nil
}

// Size returns how many octets were written so far.
func (s *Spool) Size() int64 { return s.kept + int64(len(s.tail)) }

// ReadAt reads what was written, as io.ReaderAt says.
func (s *Spool) ReadAt(p []byte, off int64) (n int, err error) {
	if s.err == os.ErrClosed {
		return 0, os.ErrClosed
	}
	if off < 0 {
		return 0, errNegativeOffset
	}
	if off < s.kept {
		n, err = s.file.ReadAt(p[:min(int64(len(p)), s.kept-off)], off)
		if n == len(p) {
			return n, nil
		}
		if err != nil {
			return n, noEOF(err)
		}
	}
	m, err := slice(s.tail).ReadAt(p[n:], off+int64(n)-s.kept)
	return n + m, err
}

// Close gives the memory and the file back; reading then fails with
// os.ErrClosed. A second Close does nothing.
func (s *Spool) Close() error {
	if s.err == os.ErrClosed {
		return nil
	}
	file := s.file
	s.file, s.kept, s.tail, s.err = nil, s.Size(), nil, os.ErrClosed
	if file == nil {
		return nil
	}
	return file.Close()
}

func (s *Spool) octets() ([]byte, bool) { return s.tail, s.file == nil && s.err != os.ErrClosed }

func createUnlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "posthouse-spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// noEOF turns the end of a file that should go on into an error of its own.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
