package local_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This reader was written from doc/storage.md alone, to prove that it can be.
// It knows nothing of the engine and the store, and imports the standard
// library only. Whoever has to change it changes the page first.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var big = binary.BigEndian

// layout is the directory of a closed store.
type layout struct {
	keys     map[string][]byte // as the index has them
	segments map[uint32]string // where each one is
	order    []uint32
	seg      uint32 // the position
	off      int64
	from     string // the checkpoint that was read, if any
	records  int    // that were applied
}

func readLayout(dir string) (*layout, error) {
	l := &layout{keys: make(map[string][]byte), segments: make(map[uint32]string)}
	if err := l.findSegments(dir); err != nil {
		return nil, err
	}
	if err := l.readCheckpoint(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	return l, l.readLog()
}

// numbered returns the numbers of the files with a suffix, ascending.
func numbered(dir, suffix string) (list []uint32, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseUint(digits, 10, 32); ok && err == nil {
			list = append(list, uint32(n))
		}
	}
	slices.Sort(list)
	return list, err
}

func (l *layout) findSegments(dir string) error {
	locations, err := locationsOf(dir)
	if err != nil {
		return err
	}
	for _, path := range append(locations, filepath.Join(dir, "log")) {
		numbers, err := numbered(path, ".seg")
		if err != nil {
			return err
		}
		for _, n := range numbers {
			l.segments[n] = filepath.Join(path, fmt.Sprintf("%08d.seg", n))
			l.order = append(l.order, n)
		}
	}
	slices.Sort(l.order)
	return nil
}

// locationsOf reads the list of locations, if there is one.
func locationsOf(dir string) (paths []string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "locations"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	at := bytes.LastIndex(b, []byte("sum "))
	if err != nil || at < 0 || string(b[at:]) != fmt.Sprintf("sum %08x\n", crc(b[:at])) {
		return nil, errors.Join(err, errors.New("list of locations: no sum"))
	}
	lines := strings.Split(strings.TrimSpace(string(b[:at])), "\n")
	if lines[0] != "posthouse locations 1" || !strings.HasPrefix(lines[1], "store ") {
		return nil, errors.New("list of locations: head")
	}
	for _, line := range lines[2:] {
		words := strings.SplitN(line, " ", 3)
		path, err := strconv.Unquote(words[2])
		if err != nil || words[0] != "location" || len(words[1]) != 32 {
			return nil, fmt.Errorf("list of locations: %q", line)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (l *layout) readCheckpoint(dir string) error {
	l.seg, l.off = 1, 64
	numbers, err := numbered(dir, ".ckpt")
	if err != nil || len(numbers) == 0 {
		return err
	}
	n := numbers[len(numbers)-1]
	l.from = fmt.Sprintf("%08d.ckpt", n)
	b, err := os.ReadFile(filepath.Join(dir, l.from))
	if err != nil {
		return err
	}
	if len(b) < 32 || string(b[:8]) != "phckpt01" || big.Uint32(b[8:]) != n || big.Uint32(b[24:]) != crc(b[:24]) {
		return fmt.Errorf("checkpoint %d: head", n)
	}
	l.seg, l.off = big.Uint32(b[12:]), int64(big.Uint64(b[16:]))
	for b = b[32:]; ; {
		if len(b) < 12 {
			return errors.New("checkpoint: it has no end")
		}
		content := b[12:][:big.Uint32(b[4:])]
		if big.Uint32(b[8:]) != crc(append(bytes.Clone(b[:8]), content...)) {
			return errors.New("checkpoint: sum of a block")
		}
		if b[0] == 2 {
			if len(content) != 8 || big.Uint64(content) != uint64(len(l.keys)) {
				return errors.New("checkpoint: number of keys")
			}
			return nil
		}
		if err := l.apply(content); err != nil {
			return err
		}
		b = b[12+len(content):]
	}
}

// apply makes changes.
func (l *layout) apply(changes []byte) error {
	r := &fields{rest: changes}
	for len(r.rest) > 0 && !r.bad {
		switch op, key := r.u8(), r.text(); op {
		case 1:
			l.keys[key] = []byte(r.text())
		case 2:
			delete(l.keys, key)
		default:
			r.bad = true
		}
	}
	return r.end("changes")
}

// segment is one that is read, with its header.
type segment struct {
	b       []byte
	salt    []byte
	prevEnd int64
}

func (l *layout) segment(n uint32) (s segment, err error) {
	name, ok := l.segments[n]
	if !ok {
		return s, fmt.Errorf("segment %d is missing", n)
	}
	if s.b, err = os.ReadFile(name); err != nil {
		return s, err
	}
	if len(s.b) < 64 || string(s.b[:8]) != "phsegm01" || big.Uint32(s.b[16:]) != n || big.Uint32(s.b[32:]) != crc(s.b[:32]) {
		return s, fmt.Errorf("segment %d: header", n)
	}
	s.salt, s.prevEnd = s.b[8:16], int64(big.Uint64(s.b[24:]))
	return s, nil
}

func (l *layout) readLog() error {
	if len(l.order) == 0 {
		return nil
	}
	for last := l.order[len(l.order)-1]; ; {
		s, err := l.segment(l.seg)
		if err != nil {
			return err
		}
		var end int64
		if l.seg == last {
			end, err = s.endOfLog(l.off)
		} else {
			var next segment
			next, err = l.segment(l.seg + 1)
			end = next.prevEnd
		}
		if err == nil {
			err = l.replay(s, end)
		}
		if err != nil || l.seg == last {
			return err
		}
		l.seg, l.off = l.seg+1, 64
	}
}

func (l *layout) replay(s segment, end int64) error {
	for l.off < end {
		r, ok := s.record(l.off)
		if !ok {
			return fmt.Errorf("segment %d is damaged at %d", l.seg, l.off)
		}
		if err := l.apply(r.changes); err != nil {
			return err
		}
		l.off = r.end
		l.records++
	}
	return nil
}

// logRecord is one record of a segment.
type logRecord struct {
	kind          byte
	group, end    int64
	changes, sums []byte
	body          []byte
}

func (s segment) record(off int64) (r logRecord, ok bool) {
	if off > int64(len(s.b))-40 {
		return r, false
	}
	b := s.b[off:]
	changes, body := int64(big.Uint32(b[24:])), big.Uint64(b[32:])
	if !bytes.Equal(b[:8], s.salt) || int64(big.Uint32(b[16:])) != off || b[12] != 1 && b[12] != 2 || body > math.MaxInt32 {
		return r, false
	}
	at := 40 + changes
	bodyAt := at + 4*((int64(body)+65535)/65536)
	if int64(len(b)) < bodyAt+int64(body) || crc(b[12:bodyAt]) != big.Uint32(b[8:]) {
		return r, false
	}
	return logRecord{
		kind: b[12], group: int64(big.Uint32(b[20:])), end: off + bodyAt + int64(body),
		changes: b[40:at], sums: b[at:bodyAt], body: b[bodyAt:][:body],
	}, true
}

// endOfLog is where the log ends in its last segment.
func (s segment) endOfLog(start int64) (end int64, err error) {
	group := start
	for end = start; end < int64(len(s.b)); {
		r, ok := s.record(end)
		if !ok {
			break
		}
		group, end = r.group, r.end
	}
	for at := end + 1; at < int64(len(s.b)); at++ {
		i := bytes.Index(s.b[at:], s.salt)
		if i < 0 {
			break
		}
		at += int64(i)
		if r, ok := s.record(at); ok && r.group > end {
			return 0, fmt.Errorf("damaged at %d", end)
		}
	}
	for off := max(group, start); off < end; {
		r, _ := s.record(off)
		if !sumsMatch(r.body, r.sums) {
			return off, nil
		}
		off = r.end
	}
	return end, nil
}

func sumsMatch(body, sums []byte) bool {
	for len(body) > 0 {
		n := min(len(body), 65536)
		if crc(body[:n]) != big.Uint32(sums) {
			return false
		}
		body, sums = body[n:], sums[4:]
	}
	return true
}

// body returns a body's octets, which are checked.
func (l *layout) body(id uint64) ([]byte, error) {
	v, ok := l.keys["!b"+string(big.AppendUint64(nil, id))]
	if !ok || len(v) != 24 {
		return nil, fmt.Errorf("body %x: no references", id)
	}
	b, err := os.ReadFile(l.segments[big.Uint32(v)])
	if err != nil {
		return nil, err
	}
	off, size, sum := int(big.Uint32(v[4:])), int(big.Uint64(v[8:])), big.Uint32(v[16:])
	chunks := (size + 65535) / 65536
	body, sums := b[off:][:size], b[off-4*chunks:off]
	if chunks < 2 && crc(body) != sum || chunks > 1 && (crc(sums) != sum || !sumsMatch(body, sums)) {
		return nil, fmt.Errorf("body %x is damaged", id)
	}
	return body, nil
}

// bodyRecords counts the records of all segments that are a body only.
func (l *layout) bodyRecords() (n int, err error) {
	for _, number := range l.order {
		s, err := l.segment(number)
		if err != nil {
			return 0, err
		}
		for r, ok := s.record(64); ok; r, ok = s.record(r.end) {
			if r.kind == 2 {
				n++
			}
		}
	}
	return n, nil
}

// moved counts the bodies that are not where they were written first.
func (l *layout) moved() (n int) {
	for k, v := range l.keys {
		if strings.HasPrefix(k, "!b") && big.Uint32([]byte(k[2:])) != big.Uint32(v) {
			n++
		}
	}
	return n
}

// fields reads the fields of a record one after the other.
type fields struct {
	rest    []byte
	bad     bool
	version byte
}

func newFields(record []byte, most byte) *fields {
	r := &fields{rest: record}
	if r.version = r.u8(); r.version < 1 || r.version > most {
		r.bad = true
	}
	return r
}

func (r *fields) end(what string) error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%s: can't be read", what)
	}
	return nil
}

// take returns the next n octets.
func (r *fields) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, max(0, min(n, 8)))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *fields) u8() byte     { return r.take(1)[0] }
func (r *fields) text() string { return string(r.take(int(r.uvarint()))) }

func (r *fields) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(n)
	r.bad = r.bad || n <= 0
	return v
}

func (r *fields) varint() int64 {
	n := int64(r.uvarint())
	if n&1 == 1 {
		return -int64(uint64(n)>>1) - 1
	}
	return int64(uint64(n) >> 1)
}

func (r *fields) words() (list []string) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		list = append(list, r.text())
	}
	return list
}
