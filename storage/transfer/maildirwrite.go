package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

const dirBatch = 1024 // names of a directory that are in memory at once

// maildirWriter writes one mailbox as a Maildir.
type maildirWriter struct {
	dir     string
	files   files
	table   keywordTable
	sets    keywordSets
	reading reading
	waiting []string // names of files that are in tmp yet
}

func (t *maildirTree) writer(path string) (writer, error) {
	w := &maildirWriter{dir: filepath.Join(t.dir, path), files: t.files}
	w.sets.dir, w.sets.files = w.dir, t.files
	if err := t.files.mkdir(w.dir); err != nil {
		return nil, err
	}
	for _, sub := range []string{"cur", "new", "tmp"} { // durable with the state, which is written behind them
		if err := os.Mkdir(filepath.Join(w.dir, sub), dirMode); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	if path != "." { // as Maildir++ marks its folders
		f, err := t.files.create(filepath.Join(w.dir, "maildirfolder"))
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	var err error
	w.table, err = readKeywordTable(w.dir)
	return w, err
}

// cut removes the files that were written for later messages than the last of
// the state, and all that never left tmp.
func (w *maildirWriter) cut(ctx context.Context, s *state) error {
	err := w.removeFrom(ctx, "tmp", func(f fileName) bool { return f.validity != 0 })
	if err != nil {
		return err
	}
	return w.removeFrom(ctx, "cur", func(f fileName) bool {
		return f.validity != 0 && f.validity == s.UIDValidity && f.uid > s.UID
	})
}

func (w *maildirWriter) removeFrom(ctx context.Context, sub string, which func(f fileName) bool) error {
	return eachFile(ctx, filepath.Join(w.dir, sub), func(e os.DirEntry) error {
		if !which(parseFileName(e.Name())) {
			return nil
		}
		return w.files.remove(filepath.Join(w.dir, sub, e.Name()))
	})
}

// eachFile calls use for every regular file of a directory.
func eachFile(ctx context.Context, dir string, use func(e os.DirEntry) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(dirBatch)
		if err == io.EOF {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			if err := use(e); err != nil {
				return err
			}
		}
	}
}

// add writes a message to a file in tmp.
func (w *maildirWriter) add(validity uint32, m storage.Message, body message.OpenBody) error {
	c, err := w.reading.inspect(body)
	if err != nil {
		return err
	}
	info, sets, err := w.flags(m.Flags)
	if err != nil {
		return err
	}
	name := newBase(validity, m, c, sets) + ":2," + info
	path := filepath.Join(w.dir, "tmp", name)
	f, err := w.files.create(path)
	if err != nil {
		return err
	}
	w.waiting = append(w.waiting, name)
	err = w.reading.write(f, c)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Chtimes(path, m.Date, m.Date)
}

// flags returns the letters of flags, and where those keywords are that have none.
func (w *maildirWriter) flags(f storage.Flags) (info string, sets int64, err error) {
	var has [letters]bool
	var rest []imap.Flag
	grown := false
	for _, k := range f.Keywords {
		letter, isNew := w.table.letter(k)
		if letter == 0 {
			rest = append(rest, k)
			continue
		}
		has[letter-'a'] = true
		grown = grown || isNew
	}
	if grown {
		if err := w.files.replace(filepath.Join(w.dir, lettersFile), w.table.text()); err != nil {
			return "", 0, err
		}
	}
	var lower []byte
	for i, set := range has {
		if set {
			lower = append(lower, 'a'+byte(i))
		}
	}
	sets, err = w.sets.place(rest)
	return infoOf(f, string(lower)), sets, err
}

// settle makes the waiting files durable and moves them to cur.
func (w *maildirWriter) settle(*state) error {
	if err := w.files.before(); err != nil {
		return err
	}
	if err := w.sets.sync(); err != nil {
		return err
	}
	tmp, cur := filepath.Join(w.dir, "tmp"), filepath.Join(w.dir, "cur")
	if err := syncAll(tmp, w.waiting); err != nil {
		return err
	}
	for _, name := range w.waiting {
		if err := w.files.rename(filepath.Join(tmp, name), filepath.Join(cur, name)); err != nil {
			return err
		}
	}
	w.waiting = w.waiting[:0]
	return syncDir(cur)
}

func (w *maildirWriter) Close() error { return w.sets.close() }
