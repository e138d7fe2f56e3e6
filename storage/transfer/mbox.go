package transfer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

const mboxSuffix = ".mbox"

// mboxTree is a directory of mbox files.
type mboxTree struct {
	dir      string
	files    files
	spoolDir string
}

func (t *mboxTree) path(name string) string {
	levels := strings.Split(name, storage.Separator)
	for i := range levels {
		levels[i] = mboxLevel(levels[i])
	}
	return filepath.Join(levels...) + mboxSuffix
}

func (t *mboxTree) statePath(path string) string {
	dir, file := filepath.Split(path)
	return filepath.Join(dir, "."+file+".posthouse")
}

func (t *mboxTree) holdsMail(path string) (bool, error) {
	info, err := os.Stat(filepath.Join(t.dir, path))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

// folders lists the files that are an mbox.
func (t *mboxTree) folders(note func(path, text string)) ([]folder, error) {
	var list []folder
	err := filepath.WalkDir(t.dir, func(path string, e fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(e.Name(), ".") && path != t.dir
		switch {
		case err != nil:
			return err
		case hidden && e.IsDir():
			return fs.SkipDir
		case hidden || !e.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(t.dir, path)
		if err != nil {
			return err
		}
		f, ok, err := t.folder(rel)
		if ok {
			list = append(list, f)
		} else if err == nil && !strings.HasPrefix(rel, subscriptionsFile) && !strings.HasPrefix(rel, journalFile) {
			note(rel, "is no mbox and was passed over")
		}
		return err
	})
	return list, err
}

// folder reads what there is to know of a file; ok is false when it is no mbox.
func (t *mboxTree) folder(path string) (f folder, ok bool, err error) {
	file := filepath.Join(t.dir, path)
	ok, err = isMbox(file)
	if !ok || err != nil {
		return folder{}, false, err
	}
	s, err := readState(filepath.Join(t.dir, t.statePath(path)))
	if err != nil {
		return folder{}, false, err
	}
	f = folder{path: path, name: fromMboxPath(path)}
	if s != nil && t.path(s.Name) == path {
		f.name = s.Name
	}
	if s != nil {
		f.made = s.made()
	}
	f.open = func(position string) (source, error) { return openMbox(file, position, t.spoolDir) }
	return f, true, nil
}

// fromMboxPath turns a path into the name of a mailbox. Thunderbird keeps the
// children of a mailbox in a directory with ".sbd" behind its name.
func fromMboxPath(path string) string {
	levels := strings.Split(filepath.ToSlash(path), "/")
	last := len(levels) - 1
	for i := range levels[:last] {
		levels[i] = strings.TrimSuffix(levels[i], ".sbd")
	}
	levels[last] = strings.TrimSuffix(levels[last], mboxSuffix)
	for i, level := range levels {
		levels[i] = strings.ReplaceAll(unescape(level, '%'), storage.Separator, "_")
	}
	return strings.Join(levels, storage.Separator)
}

// isMbox reports whether a file begins as an mbox does. An empty one is an
// mbox if its name says so.
func isMbox(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadSlice('\n')
	if len(line) == 0 {
		return strings.HasSuffix(path, mboxSuffix), nil
	}
	if err != nil { // nothing, or no line
		return false, nil
	}
	_, ok := parseFromLine(line)
	return ok, nil
}

func (t *mboxTree) subscriptionCodec() (encode, decode func(string) string) {
	same := func(s string) string { return s }
	return same, same
}

// writer opens the file of a mailbox; cut says where to write.
func (t *mboxTree) writer(path string) (writer, error) {
	file := filepath.Join(t.dir, path)
	if err := t.files.mkdir(filepath.Dir(file)); err != nil {
		return nil, err
	}
	if err := t.files.before(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	return &mboxWriter{file: f, files: t.files, out: bufio.NewWriterSize(f, chunkSize)}, syncDir(filepath.Dir(file))
}

// cut removes what was written behind the state.
func (w *mboxWriter) cut(_ context.Context, s *state) error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < s.Offset {
		return fmt.Errorf("%w: %s was cut", ErrForeign, w.file.Name())
	}
	switch tail, err := w.tail(s.Offset); {
	case err != nil:
		return err
	case s.Offset > 0 && tail != s.Tail:
		return fmt.Errorf("%w: %s was changed by another program", ErrForeign, w.file.Name())
	}
	if err := w.files.before(); err != nil {
		return err
	}
	if err := w.file.Truncate(s.Offset); err != nil {
		return err
	}
	_, err = w.file.Seek(s.Offset, io.SeekStart)
	return err
}

const tailSize = 4 << 10

// tail returns a sum of the last octets before an offset: what another program
// changes in an mbox shifts them.
func (w *mboxWriter) tail(offset int64) (string, error) {
	last := make([]byte, min(offset, tailSize))
	if _, err := w.file.ReadAt(last, offset-int64(len(last))); err != nil {
		return "", err
	}
	sum := sha256.Sum256(last)
	return hex.EncodeToString(sum[:16]), nil
}
