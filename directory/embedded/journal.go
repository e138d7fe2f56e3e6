package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// maxLine bounds a line of the journal, in octets.
const maxLine = 1 << 20

// slack is how many lines of history a journal may have in any case.
const slack = 1000

// DamageError tells where a journal can't be read.
type DamageError struct {
	Path string
	Line int // counted from 1
	Err  error
}

// Error names the file, the line and what is wrong with it.
func (e *DamageError) Error() string { return fmt.Sprintf("%s: line %d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *DamageError) Unwrap() error { return e.Err }

// journal is the open file. It is used by one change at a time.
type journal struct {
	disk  disk
	path  string
	file  file
	size  int64 // of the lines that are durable
	lines int
	err   error // not nil: no more changes
}

// openJournal reads a journal, calling apply for each line, and makes it when
// there is none.
func openJournal(d disk, path string, apply func(*line) error) (*journal, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	j := &journal{disk: d, path: path, file: f}
	if err := j.begin(apply); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// begin reads what is there and makes the file itself durable, so that the
// first change is not lost with its name.
func (j *journal) begin(apply func(*line) error) error {
	torn, err := j.replay(apply)
	if err != nil {
		return err
	}
	if torn {
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("cut the directory: %w", err)
		}
	}
	if j.lines == 0 {
		if err := j.append(&line{Op: opFormat, Version: formatVersion}); err != nil {
			return err
		}
	} else if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return j.disk.syncDir(filepath.Dir(j.path))
}

// replay reads the lines. torn is true when the last one is not whole: what a
// crash leaves of a line is a beginning of it, or octets that were never
// written and read as zero.
func (j *journal) replay(apply func(*line) error) (torn bool, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(j.file, 0, 1<<62), 64<<10)
	for {
		text, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF):
			return len(text) > 0, nil
		case err != nil && !errors.Is(err, errLong):
			return false, fmt.Errorf("read the directory: %w", err)
		case err == nil:
			err = j.accept(text, apply)
		}
		if err != nil {
			if _, more := r.Peek(1); more != nil && bytes.IndexByte(text, 0) >= 0 {
				return true, nil
			}
			return false, &DamageError{j.path, j.lines + 1, err}
		}
		j.size += int64(len(text))
		j.lines++
	}
}

// accept applies one line with its line feed.
func (j *journal) accept(text []byte, apply func(*line) error) error {
	l, err := decodeLine(text[:len(text)-1])
	if err != nil {
		return err
	}
	if (j.lines == 0) != (l.Op == opFormat) {
		return errLine
	}
	return apply(l)
}

// errLong is the error of a line above maxLine.
var errLong = errors.New("line is too long")

// readLine reads up to and with the next line feed. At the end of the file it
// returns what is left with io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		part, err := r.ReadSlice('\n')
		all = append(all, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return all, err
		}
		if len(all) > maxLine {
			return skipZeros(all, r)
		}
	}
}

// skipZeros decides about a line that is too long: nothing but zeros to the
// end of the file is no line at all.
func skipZeros(all []byte, r *bufio.Reader) ([]byte, error) {
	zeros := bytes.IndexByte(all, 0)
	if zeros < 0 || len(bytes.Trim(all[zeros:], "\x00")) > 0 {
		return all, errLong
	}
	for {
		c, err := r.ReadByte()
		if err != nil {
			return all, err
		}
		if c != 0 {
			return all, errLong
		}
	}
}

// append writes a line and returns when it is durable. A line that could not
// be written is taken back; when that fails, or a sync, all further changes
// are refused: nobody knows then what is on disk.
func (j *journal) append(l *line) error {
	if j.err != nil {
		return j.err
	}
	text, err := l.encode()
	if err != nil {
		return err
	}
	if len(text) > maxLine {
		return errLong
	}
	if _, err := j.file.WriteAt(text, j.size); err != nil {
		if undo := j.file.Truncate(j.size); undo != nil {
			j.err = fmt.Errorf("no changes after a failed write: %w", err)
		}
		return err
	}
	if err := j.file.Sync(); err != nil {
		j.err = fmt.Errorf("no changes after a failed sync: %w", err)
		return err
	}
	j.size += int64(len(text))
	j.lines++
	return nil
}

// compact writes the journal anew when most of it is history. When that fails
// the old one serves on, and the next change tries again.
func (j *journal) compact(n *names) {
	if j.err != nil || j.lines <= 2*n.size()+slack {
		return
	}
	path := j.path + ".new"
	f, err := j.disk.open(path)
	if err != nil {
		return
	}
	next := &journal{disk: j.disk, path: j.path, file: f}
	if next.write(n) != nil || j.disk.rename(path, j.path) != nil {
		_ = f.Close() // it is dropped
		return
	}
	_ = j.file.Close() // all of it was synced
	j.file, j.size, j.lines = next.file, next.size, next.lines
	if err := j.disk.syncDir(filepath.Dir(j.path)); err != nil {
		j.err = fmt.Errorf("no changes after a failed sync: %w", err)
	}
}

// write fills a new journal and syncs it.
func (j *journal) write(n *names) error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(j.file, 0), 64<<10)
	err := n.lines(func(l *line) error {
		text, err := l.encode()
		if err != nil {
			return err
		}
		j.size += int64(len(text))
		j.lines++
		_, err = w.Write(text)
		return err
	})
	return errors.Join(err, w.Flush(), j.file.Sync())
}

func (j *journal) close() error { return j.file.Close() }
