package engine

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A segment's file begins with a header of its own:
//
//	 0  8  segmentMagic
//	 8  8  salt
//	16  4  number of this segment
//	20  4  zero
//	24  8  where the segment before it ends
//	32  4  CRC-32C of octets 0 to 31
//	36 28  zero
//
// It is synced, and so is the directory, before the first record follows. The
// segment before it is complete and synced by then.
const (
	segmentHead   = 64
	segmentMagic  = "phsegm01"
	segmentSuffix = ".seg"
)

// segmentInfo is what a segment's header says.
type segmentInfo struct {
	number  uint32
	salt    salt
	prevEnd int64
}

func newSegmentInfo(number uint32, prevEnd int64) segmentInfo {
	s := segmentInfo{number: number, prevEnd: prevEnd}
	rand.Read(s.salt[:]) // never fails
	return s
}

func (s segmentInfo) encode() []byte {
	b := make([]byte, 0, segmentHead)
	b = append(b, segmentMagic...)
	b = append(b, s.salt[:]...)
	b = binary.BigEndian.AppendUint32(b, s.number)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(s.prevEnd))
	b = binary.BigEndian.AppendUint32(b, checksum(b))
	return b[:segmentHead]
}

// readSegmentInfo reads the header of segment number from f. The error is a
// *Damage when it is not a header.
func readSegmentInfo(f io.ReaderAt, number uint32) (segmentInfo, error) {
	b := make([]byte, segmentHead)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = &Damage{Segment: number, What: "header is too short"}
		}
		return segmentInfo{}, err
	}
	if string(b[:8]) != segmentMagic || checksum(b[:32]) != binary.BigEndian.Uint32(b[32:]) ||
		binary.BigEndian.Uint32(b[16:]) != number {
		return segmentInfo{}, &Damage{Segment: number, What: "header"}
	}
	return segmentInfo{
		number:  number,
		salt:    salt(b[8:16]),
		prevEnd: int64(binary.BigEndian.Uint64(b[24:])),
	}, nil
}

func segmentName(number uint32) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// listNumbered returns the numbers of the files in dir that are named by a
// number and suffix, ascending.
func listNumbered(fs vfs.FS, dir, suffix string) ([]uint32, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(digits, 10, 32); err == nil && n > 0 {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// createSegment makes a segment's file with its header, durable when it
// returns. After an error the file may be there in part; whoever makes the
// segment of that number next replaces it.
func createSegment(fs vfs.FS, dir string, s segmentInfo) (_ vfs.File, err error) {
	name := fs.PathJoin(dir, segmentName(s.number))
	if err := removeIfThere(fs, name); err != nil {
		return nil, &createError{err}
	}
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, &createError{err}
	}
	defer func() {
		if err != nil {
			f.Close()
			fs.Remove(name)
		}
	}()
	if _, err := f.WriteAt(s.encode(), 0); err != nil {
		return nil, &writeError{err}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return f, syncDir(fs, dir)
}

// createError says that nothing was written yet when making a file failed, so
// that trying again is safe.
type createError struct{ err error }

func (e *createError) Error() string { return e.err.Error() }
func (e *createError) Unwrap() error { return e.err }
