package engine

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxIdleFiles is how many segments stay open without a reader.
const maxIdleFiles = 128

// files are the segments' files, shared by their readers and the writer.
type files struct {
	fs        vfs.FS
	locations []location
	places    *places
	log       *slog.Logger

	mu     sync.Mutex
	open   map[uint32]*segmentFile
	idle   int // of open, those without users
	closed bool
}

// segmentFile is an open segment.
type segmentFile struct {
	vfs.File
	number uint32
	users  int
	gone   bool // to be removed with its last user
}

var errNoSegment = errors.New("engine: no such segment")

func newFiles(o Options, locations []location) *files {
	return &files{
		fs: o.FS, locations: locations, places: newPlaces(len(locations)),
		log: o.Logger, open: make(map[uint32]*segmentFile),
	}
}

// name returns the name of a segment's file; ok is false when it stands in no
// location.
func (s *files) name(number uint32) (name string, ok bool) {
	at, ok := s.places.get(number)
	if !ok {
		return "", false
	}
	return s.nameIn(at.location, number), true
}

func (s *files) nameIn(location int, number uint32) string {
	return s.fs.PathJoin(s.locations[location].dir, segmentName(number))
}

// acquire opens a segment for reading; release must be called.
func (s *files) acquire(number uint32) (*segmentFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	f, ok := s.open[number]
	switch {
	case ok && f.gone:
		return nil, errNoSegment
	case ok:
		if f.users == 0 {
			s.idle--
		}
		f.users++
		return f, nil
	}
	name, ok := s.name(number)
	if !ok {
		return nil, errNoSegment
	}
	file, err := s.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoSegment
	}
	if err != nil {
		return nil, err
	}
	f = &segmentFile{File: file, number: number, users: 1}
	s.open[number] = f
	return f, nil
}

// openLast opens the last segment for whoever goes on writing it, if it may be
// written.
func (s *files) openLast(number uint32) (vfs.File, error) {
	name, ok := s.name(number)
	if !ok {
		return nil, errNoSegment
	}
	if s.readOnly(number) {
		return s.fs.Open(name)
	}
	return s.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
}

// add takes over the file of the segment that is written.
func (s *files) add(number uint32, file vfs.File) *segmentFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &segmentFile{File: file, number: number, users: 1}
	s.open[number] = f
	return f
}

// release ends a use.
func (s *files) release(f *segmentFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	s.idle++
	if f.gone || s.closed || s.idle > maxIdleFiles {
		s.shut(f)
	}
}

// shut closes a file without users, and removes it when it is gone.
func (s *files) shut(f *segmentFile) {
	s.idle--
	delete(s.open, f.number)
	err := f.Close()
	if f.gone {
		err = errors.Join(err, s.unlink(f.number))
	}
	if err != nil {
		s.log.Error("mail segment could not be closed", "segment", f.number, "error", err)
	}
}

// remove removes a segment as soon as nobody reads it any more.
func (s *files) remove(number uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.open[number]
	if !ok {
		return s.unlink(number)
	}
	f.gone = true
	if f.users == 0 {
		s.shut(f)
	}
	return nil
}

// readOnly reports whether a segment must stay as it is.
func (s *files) readOnly(number uint32) bool {
	at, ok := s.places.get(number)
	return ok && s.locations[at.location].readOnly
}

// unlink removes a segment's file, and forgets it where it can't be removed.
func (s *files) unlink(number uint32) error {
	at, ok := s.places.get(number)
	if ok && !s.locations[at.location].readOnly {
		if err := removeIfThere(s.fs, s.nameIn(at.location, number)); err != nil {
			return err
		}
	}
	s.places.remove(number)
	return nil
}

// close closes what nobody uses, and the rest when its last use ends.
func (s *files) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, f := range s.open {
		if f.users == 0 {
			s.shut(f)
		}
	}
}
