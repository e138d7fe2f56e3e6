package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// window is how many names of files are sorted at once: a directory of any
// size is read once for each as many.
const window = 10_000

// maildirSource reads a Maildir in the order of compareFiles. A position is the
// base of a file's name.
type maildirSource struct {
	dir      string
	spoolDir string
	window   int
	table    keywordTable
	last     fileName // that was handed out; with base "" for none
	ready    []listedFile
	all      bool // nothing comes behind those that are ready
}

type listedFile struct {
	fileName
	path string
}

func openMaildir(dir, position, spoolDir string) (source, error) {
	s := &maildirSource{dir: dir, spoolDir: spoolDir, window: window, last: parseFileName(position)}
	var err error
	s.table, err = readKeywordTable(dir)
	return s, err
}

func (s *maildirSource) Close() error { return nil }

func (s *maildirSource) extent(ctx context.Context) (messages, octets int64, err error) {
	err = s.each(ctx, func(listedFile) { messages++ })
	return messages, 0, err
}

// each calls use for every file that is not yet handed out.
func (s *maildirSource) each(ctx context.Context, use func(f listedFile)) error {
	for _, sub := range []string{"cur", "new"} {
		dir := filepath.Join(s.dir, sub)
		err := eachFile(ctx, dir, func(e os.DirEntry) error {
			f := listedFile{parseFileName(e.Name()), filepath.Join(dir, e.Name())}
			if e.Name()[0] != '.' && (s.last.base == "" || compareFiles(f.fileName, s.last) > 0) {
				use(f)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill reads the names of the next files.
func (s *maildirSource) fill(ctx context.Context) error {
	s.all = true
	err := s.each(ctx, func(f listedFile) {
		s.ready = append(s.ready, f)
		if len(s.ready) >= 2*s.window {
			s.trim()
		}
	})
	s.trim()
	return err
}

// trim keeps the first files of those that were read.
func (s *maildirSource) trim() {
	slices.SortFunc(s.ready, func(a, b listedFile) int { return compareFiles(a.fileName, b.fileName) })
	if len(s.ready) > s.window {
		s.ready, s.all = s.ready[:s.window], false
	}
}

// next reads the next file.
func (s *maildirSource) next(ctx context.Context) (*incoming, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(s.ready) == 0 {
			if s.all {
				return nil, io.EOF
			}
			if err := s.fill(ctx); err != nil {
				return nil, err
			}
			continue
		}
		f := s.ready[0]
		s.ready = s.ready[1:]
		if f.base == s.last.base { // in cur and in new: moved when the directory was read
			continue
		}
		in, err := s.read(f)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrChanged, err)
		}
		if err == nil {
			s.last = f.fileName
		}
		return in, err
	}
}

func (s *maildirSource) read(f listedFile) (in *incoming, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var more []imap.Flag
	if f.sets >= 0 {
		if more, err = readSet(s.dir, f.sets); err != nil {
			return nil, err
		}
	}
	body := message.NewSpool(s.spoolDir, 0)
	var w io.Writer = body
	if f.ends != raw {
		w = &addCR{w: body}
	}
	if _, err := io.Copy(w, file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, err), body.Close())
	}
	date := f.date
	if date.IsZero() {
		date = info.ModTime().UTC()
	}
	in = &incoming{body: body, position: f.base, message: storage.Message{Date: storage.TrimDate(date), Size: body.Size()}}
	in.flags, in.dropped = allowed(flagsOf(f.info, s.table, more))
	return in, nil
}
