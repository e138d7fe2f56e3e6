package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// addWords appends messages numbered from first on, each of which has a word of
// its own.
func addWords(t testing.TB, m *mailbox, first, n int) {
	t.Helper()
	msgs := make([]storage.NewMessage, n)
	for i := range msgs {
		msgs[i] = storage.NewMessage{Body: message.FromBytes(fmt.Appendf(nil, "Subject: all of them\r\n\r\nThe Word%dEnd is %s\r\n", first+i, strings.Repeat("x", i%7)))}
	}
	_, err := m.Append(t.Context(), msgs...)
	require.NoError(t, err)
}

func word(i int) string { return fmt.Sprintf("word%dend", i) }

func asked(t testing.TB, m *mailbox, text string) imap.UIDSet {
	t.Helper()
	set, err := m.TextCandidates(t.Context(), text)
	require.NoError(t, err)
	return set
}

func uidsIn(set imap.UIDSet) (n int) {
	for _, r := range set {
		n += int(r.Stop-r.Start) + 1
	}
	return n
}

// visitor is a worker that works when it is told.
func visitor(t testing.TB, s *Store) *textWorker {
	w := &textWorker{t: s.texts, signal: make(chan struct{}, 1), waiting: make(map[storage.MailboxID]bool)}
	w.pacer = textPacer{ctx: t.Context(), t: s.texts}
	w.pacer.begin()
	return w
}

// tryAgain forgets what has failed.
func tryAgain(s *Store) {
	s.texts.mu.Lock()
	defer s.texts.mu.Unlock()
	for b := range maps.Values(s.texts.boxes) {
		b.mu.Lock()
		b.retry = time.Time{}
		b.mu.Unlock()
	}
}

func segmentsOf(t testing.TB, s *Store, m *mailbox) []textSegment {
	b := s.texts.pin(m.id)
	defer s.texts.unpin(b)
	require.NoError(t, b.take(t.Context()))
	defer b.give()
	list, rest, err := b.list()
	require.NoError(t, err)
	require.Empty(t, rest)
	if known, ok := b.current(); ok {
		require.Equal(t, len(known), len(list))
		for i, g := range known {
			require.Equal(t, g.name(), list[i].name())
		}
	}
	for i := range list {
		info, err := s.texts.fs.Stat(b.path(list[i].name()))
		require.NoError(t, err)
		list[i].size = info.Size()
	}
	return list
}

func TestTextIndexOutlivesTheStore(t *testing.T) {
	o, dir := quiet(nil), filepath.Join(t.TempDir(), "store")
	s := open(t, dir, o)
	m := inbox(t, s, "alice")
	addWords(t, m, 1, 300)
	require.Equal(t, 1, uidsIn(asked(t, m, word(7))))
	before := segmentsOf(t, s, m)
	require.Len(t, before, 1)
	stats, err := s.Stats(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, before[0].size, stats.Words)
	require.NoError(t, s.Close())

	s = open(t, dir, o)
	m = inbox(t, s, "alice")
	addWords(t, m, 301, 10)
	require.Equal(t, 1+10, uidsIn(asked(t, m, word(7))), "the ten are not worth it")
	require.Equal(t, before, segmentsOf(t, s, m))
	require.True(t, asked(t, m, word(305)).Contains(305))
}

// TestTextIndexThatDoesNotFitIsMadeAgain spoils the files of the index in
// several ways, while the store is closed and while it is open.
func TestTextIndexThatDoesNotFitIsMadeAgain(t *testing.T) {
	change := func(path string, f func([]byte) []byte) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, f(b), 0o600))
	}
	spoil := map[string]func(dir string, files []string){
		"octets":   func(_ string, files []string) { change(files[0], func(b []byte) []byte { b[50] ^= 1; return b }) },
		"end":      func(_ string, files []string) { change(files[0], func(b []byte) []byte { return b[:len(b)-1] }) },
		"empty":    func(_ string, files []string) { change(files[1], func([]byte) []byte { return nil }) },
		"missing":  func(_ string, files []string) { require.NoError(t, os.Remove(files[0])) },
		"all gone": func(dir string, _ []string) { require.NoError(t, os.RemoveAll(dir)) },
		"strangers": func(dir string, _ []string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "00000001-00000002.words.tmp"), nil, 0o600))
		},
		"exchanged": func(_ string, files []string) {
			change(files[0], func([]byte) []byte { b, err := os.ReadFile(files[1]); require.NoError(t, err); return b })
		},
	}
	for name, f := range spoil {
		for _, while := range []string{"open", "closed"} {
			t.Run(name+"/"+while, func(t *testing.T) {
				o, dir := quiet(nil), filepath.Join(t.TempDir(), "store")
				s := open(t, dir, o)
				m := inbox(t, s, "alice")
				for i := range 3 {
					addWords(t, m, 1+100*i, 100)
					asked(t, m, "anything")
				}
				box := filepath.Join(dir, "text", fmt.Sprint(m.id))
				files, err := filepath.Glob(filepath.Join(box, "*"))
				require.NoError(t, err)
				require.Len(t, files, 3)
				if while == "closed" {
					require.NoError(t, s.Close())
				}
				f(box, files)
				if while == "closed" {
					s = open(t, dir, o)
					m = inbox(t, s, "alice")
				}
				for i := range 300 {
					require.True(t, asked(t, m, word(i+1)).Contains(imap.UID(i+1)))
				}
				if name != "strangers" || while == "closed" {
					require.LessOrEqual(t, uidsIn(asked(t, m, word(7))), 1)
					segmentsOf(t, s, m)
				}
			})
		}
	}
}

// TestTextIndexOfLaterMailIsNotBelieved puts an older copy of a store back
// beside an index that knows more.
func TestTextIndexOfLaterMailIsNotBelieved(t *testing.T) {
	o, dir := quiet(nil), t.TempDir()
	s := open(t, filepath.Join(dir, "store"), o)
	m := inbox(t, s, "alice")
	addWords(t, m, 1, 100)
	require.NoError(t, s.Backup(t.Context(), filepath.Join(dir, "copy"), func(_, _ int64) {}))
	_, err := os.Stat(filepath.Join(dir, "copy", "text"))
	require.ErrorIs(t, err, os.ErrNotExist, "a backup has no index of words")
	addWords(t, m, 101, 100)
	require.Equal(t, 1, uidsIn(asked(t, m, word(150))))
	require.NoError(t, s.Close())
	require.NoError(t, os.Rename(filepath.Join(dir, "store", "text"), filepath.Join(dir, "copy", "text")))

	s = open(t, filepath.Join(dir, "copy"), o)
	m = inbox(t, s, "alice")
	addWords(t, m, 5000, 100) // of another size, since they may come in the same second
	require.True(t, asked(t, m, word(5050)).Contains(151))
	require.Equal(t, 1, uidsIn(asked(t, m, word(5050))))
}

func TestManySegmentsBecomeFew(t *testing.T) {
	s := inMemory(t, nil)
	m, w := inbox(t, s, "alice"), visitor(t, s)
	asked(t, m, "anything")
	for i := range 30 {
		addWords(t, m, 1+65*i, 65)
		w.visit(t.Context(), m.id)
	}
	require.Less(t, len(segmentsOf(t, s, m)), textMerge)
	for i := range 30 * 65 {
		require.Equal(t, imap.UIDSet{{Start: imap.UID(i + 1), Stop: imap.UID(i + 1)}}, asked(t, m, word(i+1)))
	}
	require.Equal(t, 30*65, uidsIn(asked(t, m, "subject: all")))
}

func TestTextIndexForgetsExpungedMessages(t *testing.T) {
	s := inMemory(t, nil)
	m, w := inbox(t, s, "alice"), visitor(t, s)
	size := func() (n int64) {
		for _, g := range segmentsOf(t, s, m) {
			n += g.size
		}
		return n
	}
	addWords(t, m, 1, 2000)
	asked(t, m, "anything")
	before := size()
	_, err := m.Expunge(t.Context(), imap.UIDSet{{Start: 1, Stop: 1900}})
	require.NoError(t, err)
	w.visit(t.Context(), m.id)
	require.Less(t, size(), before/10)
	require.Equal(t, imap.UIDSet{{Start: 1950, Stop: 1950}}, asked(t, m, word(1950)))
	_, err = m.Expunge(t.Context(), imap.UIDSet{{Start: 1, Stop: 2000}})
	require.NoError(t, err)
	addWords(t, m, 2001, 80)
	w.visit(t.Context(), m.id)
	require.Equal(t, imap.UIDSet{{Start: 2050, Stop: 2050}}, asked(t, m, word(2050)))
}

func TestTextIndexOfDeletedMailboxesIsRemoved(t *testing.T) {
	s := inMemory(t, nil)
	w := visitor(t, s)
	a, err := s.Account(t.Context(), "alice")
	require.NoError(t, err)
	require.NoError(t, a.Create(t.Context(), "x", storage.NewMailbox{}))
	m := boxOf(t, s, "alice", "x")
	addWords(t, m, 1, 100)
	asked(t, m, "anything")
	require.True(t, s.texts.has(m.id))
	require.NoError(t, s.texts.fs.MkdirAll(s.texts.dirOf(4711), 0o700))
	require.NoError(t, a.Delete(t.Context(), "x"))
	w.begin(t.Context())
	require.False(t, s.texts.has(m.id))
	require.False(t, s.texts.has(4711))
}

func TestTextModesSayWhichMailboxesAreIndexed(t *testing.T) {
	const files = 1 << 10
	for mode, want := range map[TextMode][3]int{TextSearched: {0, 1, 1}, TextAll: {1, 1, 1}, TextOff: {files, files, files}} {
		s := inMemory(t, func(o *Options) { o.Text.Mode = mode })
		m := inbox(t, s, "alice")
		count := func() int {
			if s.texts == nil {
				return files
			}
			w := visitor(t, s)
			w.begin(t.Context())
			return len(segmentsOf(t, s, m))
		}
		addWords(t, m, 1, 100)
		require.Equal(t, want[0], count(), mode)
		set := asked(t, m, word(50))
		require.True(t, set.Contains(50))
		require.Equal(t, mode == TextOff, uidsIn(set) == 100)
		require.Equal(t, want[1], count(), mode)
		addWords(t, m, 101, 3)
		require.Equal(t, want[2], count(), mode)
		require.True(t, asked(t, m, word(102)).Contains(102))
	}
	require.Equal(t, "searched all off TextMode(3)", fmt.Sprint(TextSearched, TextAll, TextOff, TextMode(3)))
}

// TestASmallMailboxIsIndexedOnceItWasSearched proves that the index knows which
// mailboxes are its.
func TestASmallMailboxIsIndexedOnceItWasSearched(t *testing.T) {
	s := inMemory(t, nil)
	m, w := inbox(t, s, "alice"), visitor(t, s)
	addWords(t, m, 1, 3)
	require.Equal(t, 3, uidsIn(asked(t, m, word(2))))
	require.Empty(t, segmentsOf(t, s, m))
	addWords(t, m, 4, 100)
	w.visit(t.Context(), m.id)
	require.Len(t, segmentsOf(t, s, m), 1)
}

// TestTheWorkerIsToldOfMailboxesThatChange leaves the work to the worker.
func TestTheWorkerIsToldOfMailboxesThatChange(t *testing.T) {
	s := inMemory(t, nil)
	m := inbox(t, s, "alice")
	asked(t, m, "anything")
	addWords(t, m, 1, 100)
	require.Eventually(t, func() bool { return len(segmentsOf(t, s, m)) == 1 }, 60*textPause, textPause/20)
}

// faultyFS fails what is done with files of the index.
type faultyFS struct {
	vfs.FS
	mu    sync.Mutex
	fails map[string]bool // by operation
}

var errFaulty = errors.New("faulty disk")

func (f *faultyFS) fail(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails[op] && strings.Contains(name, "text") {
		return errFaulty
	}
	return nil
}

func (f *faultyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fail("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return &faultyFile{file, f, name}, err
}

func (f *faultyFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.fail("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, o...)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f, name}, nil
}

func (f *faultyFS) Rename(from, to string) error {
	return cmpErr(f.fail("rename", from), func() error { return f.FS.Rename(from, to) })
}

func (f *faultyFS) Remove(name string) error {
	return cmpErr(f.fail("remove", name), func() error { return f.FS.Remove(name) })
}

func (f *faultyFS) MkdirAll(name string, mode os.FileMode) error {
	return cmpErr(f.fail("mkdir", name), func() error { return f.FS.MkdirAll(name, mode) })
}

func (f *faultyFS) List(name string) ([]string, error) {
	if err := f.fail("list", name); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

func cmpErr(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

type faultyFile struct {
	vfs.File
	fs   *faultyFS
	name string
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.fs.fail("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.fail("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

// TestAFaultyDiskOfTheTextIndexSpoilsNoSearch fails each operation from before
// the first search, or from after it on, and then lets it be.
func TestAFaultyDiskOfTheTextIndexSpoilsNoSearch(t *testing.T) {
	for _, op := range []string{"create", "open", "rename", "remove", "mkdir", "list", "write", "read"} {
		for _, early := range []string{"early", "late"} {
			t.Run(op+"/"+early, func(t *testing.T) {
				f := &faultyFS{FS: vfs.NewMem(), fails: make(map[string]bool)}
				s := inMemory(t, func(o *Options) { o.FS = f })
				m, w := inbox(t, s, "alice"), visitor(t, s)
				set := func(fails bool) { f.mu.Lock(); f.fails[op] = fails; f.mu.Unlock() }
				set(early == "early")
				n := 0
				for range textMerge + 1 {
					addWords(t, m, n+1, 100)
					n += 100
					require.True(t, asked(t, m, word(n-20)).Contains(imap.UID(n-20)))
					set(true)
					w.visit(t.Context(), m.id)
				}
				for i := 1; i <= n; i += 40 {
					require.True(t, asked(t, m, word(i)).Contains(imap.UID(i)))
				}
				set(false)
				for i := 1; i <= n; i += 40 {
					require.True(t, asked(t, m, word(i)).Contains(imap.UID(i)))
				}
				tryAgain(s)
				require.Equal(t, 1, uidsIn(asked(t, m, word(5))), "it recovers")
			})
		}
	}
}

func TestAFullDiskTakesNoTextIndex(t *testing.T) {
	fs := vfs.NewMem()
	s := inMemory(t, func(o *Options) { o.FS, o.Reserve = fs, 1<<20 })
	m := inbox(t, s, "alice")
	addWords(t, m, 1, 100)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 3 << 19, TotalBytes: 1 << 30})
	require.Equal(t, 100, uidsIn(asked(t, m, word(5))))
	require.Empty(t, segmentsOf(t, s, m))
	tryAgain(s)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 29, TotalBytes: 1 << 30})
	require.Equal(t, 1, uidsIn(asked(t, m, word(5))))
}

// TestSearchesWhileMailComesAndGoes looks for messages that are surely there
// while others come, go and are indexed.
func TestSearchesWhileMailComesAndGoes(t *testing.T) {
	s := inMemory(t, nil)
	m := inbox(t, s, "alice")
	addWords(t, m, 1, 20)
	ctx, cancel := context.WithCancel(t.Context())
	var others, searches sync.WaitGroup
	others.Go(func() {
		for i := 0; i < 50 && ctx.Err() == nil; i++ { // 5,000 messages at most
			addWords(t, m, 10_000+100*i, 100)
			_, err := m.Expunge(t.Context(), imap.UIDSet{{Start: imap.UID(21 + 100*i), Stop: imap.UID(100 + 100*i)}})
			require.NoError(t, err)
		}
	})
	others.Go(func() {
		for w := visitor(t, s); ctx.Err() == nil; {
			w.visit(t.Context(), m.id)
		}
	})
	for range 3 {
		searches.Go(func() {
			for i := range 100 {
				require.True(t, asked(t, m, word(1+i%20)).Contains(imap.UID(1+i%20)))
			}
		})
	}
	searches.Wait()
	cancel()
	others.Wait()
	for uid := range slices.Values(segmentsOf(t, s, m)) {
		require.Positive(t, uid.size)
	}
}

// TestDamagedMessagesAreCandidates proves that what can't be read is looked at
// by the search itself, which tells.
func TestDamagedMessagesAreCandidates(t *testing.T) {
	o, dir := quiet(nil), filepath.Join(t.TempDir(), "store")
	s := open(t, dir, o)
	m := inbox(t, s, "alice")
	addWords(t, m, 1, 100)
	addWords(t, m, 101, 20) // in a body of their own
	require.NoError(t, s.Close())
	segment := filepath.Join(dir, "log", "00000001.seg")
	b, err := os.ReadFile(segment)
	require.NoError(t, err)
	at := strings.LastIndex(string(b), "Word50End")
	b[at] ^= 1
	require.NoError(t, os.WriteFile(segment, b, 0o600))

	s = open(t, dir, o)
	m = inbox(t, s, "alice")
	c, err := m.Open(t.Context(), 50)
	require.NoError(t, err)
	_, err = io.ReadAll(message.NewReader(c))
	require.ErrorIs(t, err, engine.ErrDamaged)
	require.NoError(t, c.Close())
	require.True(t, asked(t, m, word(50)).Contains(50))
	require.True(t, asked(t, m, "nowhere").Contains(50))
	require.False(t, asked(t, m, "nowhere").Contains(110))
}
