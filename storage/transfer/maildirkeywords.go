package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

const (
	lettersFile = "dovecot-keywords"   // a line "NUMBER KEYWORD" for each letter, from 0
	setsFile    = "posthouse-keywords" // a line of joinWords for each set of further keywords
	letters     = 26
	maxSet      = 64 << 10 // octets of a line of setsFile
)

// keywordTable holds the keywords that have a letter in file names. An empty
// one has none.
type keywordTable [letters]imap.Flag

func readKeywordTable(dir string) (keywordTable, error) {
	var t keywordTable
	content, err := readSmall(filepath.Join(dir, lettersFile))
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	for line := range strings.Lines(string(content)) {
		number, keyword, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if n, err := strconv.ParseUint(number, 10, 8); err == nil && n < letters {
			t[n] = imap.Flag(keyword)
		}
	}
	return t, err
}

// readSmall reads a file that is small when nobody has tampered with it.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 4<<20))
}

func (t *keywordTable) keyword(letter byte) imap.Flag {
	if letter < 'a' || letter > 'z' {
		return ""
	}
	return t[letter-'a']
}

// letter returns the letter of a keyword, or 0; a keyword that can have one
// and has none gets it, and is then new.
func (t *keywordTable) letter(k imap.Flag) (letter byte, isNew bool) {
	if i := slices.Index(t[:], k); i >= 0 {
		return 'a' + byte(i), false
	}
	free := slices.Index(t[:], "")
	if !isPlain(k) || free < 0 || slices.ContainsFunc(t[:], func(f imap.Flag) bool { return strings.EqualFold(string(f), string(k)) }) {
		return 0, false
	}
	t[free] = k
	return 'a' + byte(free), true
}

func (t *keywordTable) text() []byte {
	var b bytes.Buffer
	for i, k := range t {
		if k != "" {
			fmt.Fprintf(&b, "%d %s\n", i, k)
		}
	}
	return b.Bytes()
}

// keywordSets appends to the file of further keywords. It remembers the sets
// that it wrote last, so that most are written once.
type keywordSets struct {
	dir   string
	files files
	file  *os.File
	size  int64
	known map[string]int64
}

const knownSets = 1000

// place returns where a set is in the file.
func (s *keywordSets) place(keywords []imap.Flag) (int64, error) {
	if len(keywords) == 0 {
		return -1, nil
	}
	line := joinWords(keywords) + "\n"
	if at, ok := s.known[line]; ok {
		return at, nil
	}
	if err := s.open(); err != nil {
		return 0, err
	}
	if err := s.files.before(); err != nil {
		return 0, err
	}
	if _, err := s.file.WriteAt([]byte(line), s.size); err != nil {
		return 0, err
	}
	at := s.size
	s.size += int64(len(line))
	if len(s.known) >= knownSets {
		clear(s.known)
	}
	s.known[line] = at
	return at, nil
}

func (s *keywordSets) open() (err error) {
	if s.file != nil {
		return nil
	}
	s.known = make(map[string]int64)
	if s.file, err = os.OpenFile(filepath.Join(s.dir, setsFile), os.O_CREATE|os.O_RDWR, fileMode); err != nil {
		return err
	}
	s.size, err = s.file.Seek(0, io.SeekEnd)
	return err
}

func (s *keywordSets) sync() error {
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

func (s *keywordSets) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// readSet reads the set of further keywords at an offset of the file.
func readSet(dir string, at int64) ([]imap.Flag, error) {
	f, err := os.Open(filepath.Join(dir, setsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(io.NewSectionReader(f, at, maxSet), maxSet).ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", f.Name(), at, err)
	}
	return splitWords(string(line)), nil
}
