package transfer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

const maildirState = "posthouse-export"

// maildirTree is a Maildir++ directory.
type maildirTree struct {
	dir      string
	files    files
	spoolDir string
}

func (t *maildirTree) path(name string) string {
	if name == storage.Inbox {
		return "."
	}
	return shorten("." + maildirName(name))
}

func (t *maildirTree) statePath(path string) string { return filepath.Join(path, maildirState) }

func (t *maildirTree) holdsMail(path string) (bool, error) {
	for _, sub := range []string{"cur", "new"} {
		d, err := os.Open(filepath.Join(t.dir, path, sub))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		names, err := d.Readdirnames(1)
		d.Close()
		if err != nil && err != io.EOF {
			return false, err
		}
		if len(names) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// folders lists the directory itself and those directories in it that are
// Maildirs and have a name with a dot before it.
func (t *maildirTree) folders(note func(path, text string)) ([]folder, error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, err
	}
	var list []folder
	if t.isMaildir(".") {
		list = append(list, folder{path: ".", name: storage.Inbox})
	}
	for _, e := range entries {
		switch name, ok := strings.CutPrefix(e.Name(), "."); {
		case !ok || name == "" || !e.IsDir():
		case !t.isMaildir(e.Name()):
			note(e.Name(), "is no Maildir and was passed over")
		default:
			list = append(list, folder{path: e.Name(), name: fromMaildirName(name)})
		}
	}
	if len(list) == 0 {
		return nil, errors.New(t.dir + " holds no Maildir")
	}
	return list, t.complete(list)
}

// complete adds to folders what Export kept with them, and how to open them.
func (t *maildirTree) complete(list []folder) error {
	for i := range list {
		f := &list[i]
		s, err := readState(filepath.Join(t.dir, t.statePath(f.path)))
		if err != nil {
			return err
		}
		if s != nil && t.path(s.Name) == f.path { // and was not renamed since
			f.name = s.Name
		}
		if s != nil {
			f.made = s.made()
		}
		dir := filepath.Join(t.dir, f.path)
		f.open = func(position string) (source, error) { return openMaildir(dir, position, t.spoolDir) }
	}
	slices.SortFunc(list, func(a, b folder) int { return strings.Compare(a.path, b.path) })
	return nil
}

func (t *maildirTree) isMaildir(path string) bool {
	for _, sub := range []string{"cur", "new"} {
		info, err := os.Stat(filepath.Join(t.dir, path, sub))
		if err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

func (t *maildirTree) subscriptionCodec() (encode, decode func(string) string) {
	return maildirName, fromMaildirName
}
