package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// journalFile is where Import keeps its journal when it is not told otherwise.
const journalFile = "posthouse-import"

// maxJournal is when the journal is written anew, in octets.
const maxJournal = 4 << 20

// journal says how far the folders of an import are. It is a file of lines, of
// which the last of each folder counts. The first one is of the account: its
// folder is "", and it names INBOX.
type journal struct {
	path    string
	files   files
	lock    *os.File
	file    *os.File
	size    int64
	entries map[string]*entry
}

// entry is how far a folder is.
type entry struct {
	Folder      string            `json:"folder"`
	ID          storage.MailboxID `json:"id"`
	UIDValidity uint32            `json:"uidvalidity"`
	Position    string            `json:"position,omitempty"` // in the source: all before it is stored
	Messages    int64             `json:"messages"`           // that were stored
	Pending     *pending          `json:"pending,omitempty"`
}

// pending is a batch that is being appended: whether it is stored must be
// looked up in the mailbox.
type pending struct {
	UIDNext  imap.UID `json:"uidnext"`  // before the batch
	Position string   `json:"position"` // behind the batch
	Messages []print  `json:"messages"`
}

// print is what tells one message of a batch from others.
type print struct {
	Size int64 `json:"s"`
	Date int64 `json:"d"` // Unix time
}

func printOf(m storage.Message) print { return print{m.Size, m.Date.Unix()} }

// openJournal opens or makes the journal of an account whose INBOX is given.
func openJournal(path string, disk files, inbox entry) (*journal, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := disk.mkdir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	j := &journal{path: path, files: disk, entries: make(map[string]*entry)}
	// Not the journal itself is locked, since it is replaced now and then.
	if j.lock, err = os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, fileMode); err != nil {
		return nil, err
	}
	if err = lock(j.lock); err == nil {
		err = j.load()
	}
	if e := j.entries[""]; err == nil && e != nil && *e != inbox {
		err = fmt.Errorf("%s: %w", path, ErrOtherAccount)
	}
	if err == nil {
		j.entries[""] = &inbox
		err = j.rewrite()
	}
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// load reads the lines. One that is not whole was never acted upon.
func (j *journal) load() error {
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		e := &entry{}
		switch err := d.Decode(e); {
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", j.path, err)
		}
		j.entries[e.Folder] = e
	}
}

// rewrite replaces the file with one line per folder.
func (j *journal) rewrite() error {
	var b bytes.Buffer
	for _, folder := range slices.Sorted(maps.Keys(j.entries)) {
		line, err := json.Marshal(j.entries[folder])
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	if err := j.files.replace(j.path, b.Bytes()); err != nil {
		return err
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			return err
		}
	}
	var err error
	j.file, err = os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, fileMode)
	j.size = int64(b.Len())
	return err
}

// put makes an entry durable.
func (j *journal) put(e *entry) error {
	kept := *e
	j.entries[e.Folder] = &kept
	if j.size > maxJournal {
		return j.rewrite()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	n, err := j.file.Write(append(line, '\n'))
	j.size += int64(n)
	if err != nil {
		return err
	}
	return j.files.sync(j.file)
}

func (j *journal) Close() error {
	err := j.lock.Close()
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
	}
	return err
}
