package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// steps are changes of every kind, in an order in which each is allowed.
var steps = []func(t *testing.T, d *Directory) error{
	func(t *testing.T, d *Directory) error { return d.AddDomain(t.Context(), "example.test") },
	func(t *testing.T, d *Directory) error { return d.AddDomain(t.Context(), "other.test") },
	func(t *testing.T, d *Directory) error {
		return d.AddAccount(t.Context(), directory.Account{Name: "alice@example.test", Password: "h\n1", Aliases: []string{"a@example.test"}})
	},
	func(t *testing.T, d *Directory) error {
		return d.AddAccount(t.Context(), directory.Account{Name: "bob@other.test", Disabled: true, Host: "10.0.0.12"})
	},
	func(t *testing.T, d *Directory) error {
		return d.AddAlias(t.Context(), mail.MustParseAddress("sales@example.test"), "bob@other.test")
	},
	func(t *testing.T, d *Directory) error {
		return d.AddAlias(t.Context(), mail.MustParseAddress("sales@example.test"), "x@foreign.test")
	},
	func(t *testing.T, d *Directory) error {
		return d.SetPasswordForms(t.Context(), "alice", "h2", map[string]string{"SCRAM-SHA-256": "s", "SCRAM-SHA-1": "t"})
	},
	func(t *testing.T, d *Directory) error { return d.SetHost(t.Context(), "alice", "10.0.0.11:1143") },
	func(t *testing.T, d *Directory) error { return d.SetDisabled(t.Context(), "bob@other.test", false) },
	func(t *testing.T, d *Directory) error {
		return d.RemoveAlias(t.Context(), mail.MustParseAddress("a@example.test"))
	},
	func(t *testing.T, d *Directory) error {
		return d.AddDomainAlias(t.Context(), "example.org", "example.test")
	},
	func(t *testing.T, d *Directory) error {
		return d.AddDomainAlias(t.Context(), "other.org", "other.test")
	},
	func(t *testing.T, d *Directory) error {
		return d.SetGroup(t.Context(), directory.Group{Name: "team@example.test", Members: []string{"alice", "bob@other.test", "y@foreign.test"}})
	},
	func(t *testing.T, d *Directory) error {
		return d.SetGroup(t.Context(), directory.Group{Name: "empty@example.test"})
	},
	func(t *testing.T, d *Directory) error {
		return d.SetFolder(t.Context(), mail.MustParseAddress("news@example.test"), directory.Recipient{Account: "@example.test", Folder: "News"})
	},
	func(t *testing.T, d *Directory) error {
		return d.SetFolder(t.Context(), mail.MustParseAddress("old@example.test"), directory.Recipient{Account: "alice@example.test"})
	},
	func(t *testing.T, d *Directory) error {
		return d.SetCatchAll(t.Context(), "other.test", directory.Recipient{Account: "bob@other.test", Folder: "Unknown"})
	},
	func(t *testing.T, d *Directory) error {
		return d.SetCatchAll(t.Context(), "example.test", directory.Recipient{Forward: mail.MustParseAddress("z@foreign.test")})
	},
	func(t *testing.T, d *Directory) error { return d.RemoveDomainAlias(t.Context(), "other.org") },
	func(t *testing.T, d *Directory) error { return d.RemoveGroup(t.Context(), "empty@example.test") },
	func(t *testing.T, d *Directory) error { return d.RemoveAccount(t.Context(), "alice") },
}

// dump writes down all that a directory knows.
func dump(t *testing.T, d *Directory) string {
	var b strings.Builder
	require.NoError(t, d.names.lines(func(l *line) error {
		text, err := l.encode()
		b.Write(text)
		return err
	}))
	return b.String()
}

// written makes all steps and returns the file after each, with what the
// directory knew then.
func written(t *testing.T) (file []byte, ends []int, states []string) {
	path := filepath.Join(t.TempDir(), "directory")
	d, err := Open(path)
	require.NoError(t, err)
	note := func() {
		file, err = os.ReadFile(path)
		require.NoError(t, err)
		ends = append(ends, len(file))
		states = append(states, dump(t, d))
	}
	note()
	for _, step := range steps {
		require.NoError(t, step(t, d))
		note()
	}
	require.NoError(t, d.Close())
	return file, ends, states
}

func reopen(t *testing.T, content []byte) (*Directory, string, error) {
	path := filepath.Join(t.TempDir(), "directory")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	d, err := open(unsynced{}, path)
	return d, path, err
}

func TestFileCutAtEveryOctetIsTheLastWholeChange(t *testing.T) {
	file, ends, states := written(t)
	for n := range len(file) + 1 {
		for _, tail := range []string{"", "\x00\x00\x00", "\x00\x00\n"} {
			if tail != "" && n%7 != 0 {
				continue
			}
			d, path, err := reopen(t, append(bytes.Clone(file[:n]), tail...))
			require.NoError(t, err, "cut at %d", n)
			last := 0
			for i, end := range ends {
				if end <= n {
					last = i
				}
			}
			require.Equal(t, states[last], dump(t, d), "cut at %d", n)
			require.NoError(t, d.AddDomain(t.Context(), "new.test"))
			want := dump(t, d)
			require.NoError(t, d.Close())
			d, err = open(unsynced{}, path)
			require.NoError(t, err)
			require.Equal(t, want, dump(t, d))
			require.NoError(t, d.Close())
		}
	}
}

func TestDamageIsNamedByItsLine(t *testing.T) {
	file, ends, _ := written(t)
	lineOf := func(n int) int {
		for i, end := range ends {
			if n < end {
				return i + 1
			}
		}
		return 0
	}
	for n := 0; n < len(file); n += 3 {
		damaged := bytes.Clone(file)
		damaged[n] ^= 0x01
		d, _, err := reopen(t, damaged)
		if n == len(file)-1 { // without its line feed the last line is a torn one
			require.NoError(t, err)
			require.NoError(t, d.Close())
			continue
		}
		var damage *DamageError
		require.ErrorAs(t, err, &damage, "octet %d", n)
		require.Equal(t, lineOf(n), damage.Line, "octet %d", n)
	}
}

func TestForeignFileIsRefused(t *testing.T) {
	for _, content := range []string{
		"hello\n", "{}\n", "\n", strings.Repeat("x", 2*maxLine) + "\n", strings.Repeat("x", 2*maxLine),
	} {
		_, _, err := reopen(t, []byte(content))
		if !strings.HasSuffix(content, "\n") && len(content) < maxLine {
			continue
		}
		var damage *DamageError
		require.ErrorAs(t, err, &damage, "%.20q", content)
		require.Equal(t, 1, damage.Line)
	}
}

func TestZerosToTheEndAreCut(t *testing.T) {
	file, _, states := written(t)
	d, path, err := reopen(t, append(bytes.Clone(file), make([]byte, 3*maxLine)...))
	require.NoError(t, err)
	require.Equal(t, states[len(states)-1], dump(t, d))
	require.NoError(t, d.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, len(file), info.Size())
}

func TestReopenKnowsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	for i := range len(steps) {
		d, err := Open(path)
		require.NoError(t, err)
		require.NoError(t, steps[i](t, d))
		require.NoError(t, d.Close())
	}
	_, _, states := written(t)
	d, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, states[len(states)-1], dump(t, d))
	require.NoError(t, d.Close())
}

func TestJournalIsCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	d, err := open(unsynced{}, path)
	require.NoError(t, err)
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: "alice@example.test"}))
	for i := range 5 * slack {
		require.NoError(t, d.SetPassword(t.Context(), "alice", fmt.Sprint(i)))
	}
	require.Less(t, d.journal.lines, slack+10)
	want := dump(t, d)
	require.NoError(t, d.Close())
	d, err = Open(path)
	require.NoError(t, err)
	require.Equal(t, want, dump(t, d))
	a, err := d.Account(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(5*slack-1), a.Password)
	require.NoError(t, d.Close())
}

// unsynced is the disk without its cost.
type unsynced struct{ osDisk }

func (u unsynced) open(path string) (file, error) {
	f, err := u.osDisk.open(path)
	return unsyncedFile{f}, err
}

func (u unsynced) syncDir(string) error { return nil }

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

func TestSecondOpenIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	d, err := Open(path)
	require.NoError(t, err)
	_, err = Open(path)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, d.Close())
	d, err = Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestClosedDirectoryIsNotAvailable(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "directory"))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	require.ErrorIs(t, d.AddDomain(t.Context(), "example.test"), directory.ErrUnavailable)
	_, err = d.Resolve(t.Context(), mail.Postmaster)
	require.ErrorIs(t, err, directory.ErrUnavailable)
	for _, err := range d.List(t.Context()) {
		require.ErrorIs(t, err, directory.ErrUnavailable)
	}
}

// faulty is a disk on which one operation fails.
type faulty struct {
	osDisk
	left *int // operations before the one that fails
	err  error
	torn int // of a write that fails: octets that are written nevertheless
}

func (f faulty) fails() bool {
	*f.left--
	return *f.left == -1
}

func (f faulty) open(path string) (file, error) {
	if f.fails() {
		return nil, f.err
	}
	o, err := f.osDisk.open(path)
	return faultyFile{o, f}, err
}

func (f faulty) rename(from, to string) error {
	if f.fails() {
		return f.err
	}
	return f.osDisk.rename(from, to)
}

func (f faulty) syncDir(path string) error {
	if f.fails() {
		return f.err
	}
	return f.osDisk.syncDir(path)
}

func (f faulty) lock(path string) (io.Closer, error) { return f.osDisk.lock(path) }

type faultyFile struct {
	file
	disk faulty
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.fails() {
		n, _ := f.file.WriteAt(p[:min(f.disk.torn, len(p))], off)
		return n, f.disk.err
	}
	return f.file.WriteAt(p, off)
}

func (f faultyFile) Truncate(size int64) error {
	if f.disk.fails() {
		return f.disk.err
	}
	return f.file.Truncate(size)
}

func (f faultyFile) Sync() error {
	if f.disk.fails() {
		return f.disk.err
	}
	return nil
}

// Each operation of the disk fails once, in the course of changes with a
// compaction among them. What was acknowledged is there after a reopen, and
// of the rest at most the change whose sync failed.
func TestS29FailedOperationLosesNothing(t *testing.T) {
	for _, kind := range []error{syscall.ENOSPC, syscall.EIO} {
		for fail := 0; ; fail++ {
			left := fail
			path := filepath.Join(t.TempDir(), "directory")
			disk := faulty{left: &left, err: kind, torn: 30}
			d, err := open(disk, path)
			if err != nil {
				require.ErrorIs(t, err, kind)
				d, err = open(disk, path)
				require.NoError(t, err, "operation %d: a second open", fail)
			}
			known, maybe := []string{dump(t, d)}, ""
			for i, step := range steps {
				if i == len(steps)-2 { // so that the next change compacts
					d.journal.lines += 10 * slack
				}
				err := step(t, d)
				if err == nil {
					known = append(known, dump(t, d))
					continue
				}
				require.ErrorIs(t, err, directory.ErrUnavailable)
				require.ErrorIs(t, err, kind)
				require.Equal(t, known[len(known)-1], dump(t, d), "a refused change is not seen")
				if d.journal.err != nil {
					maybe = dump(t, d)
					break
				}
				require.NoError(t, step(t, d), "operation %d: a change after one that was taken back", fail)
				known = append(known, dump(t, d))
			}
			require.NoError(t, d.Close())
			d, err = Open(path)
			require.NoError(t, err, "operation %d", fail)
			if maybe == "" {
				require.Equal(t, known[len(known)-1], dump(t, d), "operation %d", fail)
			} else {
				require.NoError(t, replayable(t, d, known, path), "operation %d", fail)
			}
			require.NoError(t, d.Close())
			if left >= 0 {
				require.Greater(t, fail, 25, "too few operations")
				break
			}
		}
	}
}

// replayable checks that a directory knows what was acknowledged, and at most
// one change more.
func replayable(t *testing.T, d *Directory, known []string, path string) error {
	got := dump(t, d)
	if got == known[len(known)-1] {
		return nil
	}
	clean, err := Open(path + ".clean")
	require.NoError(t, err)
	defer clean.Close()
	for _, step := range steps[:len(known)] {
		require.NoError(t, step(t, clean))
	}
	if got != dump(t, clean) {
		return errors.New("neither what was acknowledged nor one change more")
	}
	return nil
}

func FuzzOpen(f *testing.F) {
	l := &line{Op: opFormat, Version: formatVersion}
	text, _ := l.encode()
	f.Add(text)
	l = &line{Op: opAlias, Name: "a@b", To: "c@d"}
	more, _ := l.encode()
	f.Add(append(bytes.Clone(text), more...))
	f.Add([]byte("{\"sum\":\"00000000\",\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		// A sum that fits lets the fuzzer past the checksum.
		if i := bytes.IndexByte(content, '\n'); i > sumLength {
			copy(content, sumField(content[sumLength:i]))
		}
		d, _, err := reopen(t, content)
		if err != nil {
			return
		}
		want := dump(t, d)
		require.NoError(t, d.Close())
		require.NotEmpty(t, want)
	})
}

func BenchmarkOpen100000Accounts(b *testing.B) {
	path := filepath.Join(b.TempDir(), "directory")
	d, err := open(unsynced{}, path)
	require.NoError(b, err)
	require.NoError(b, d.AddDomain(b.Context(), "example.test"))
	for i := range 100_000 {
		a := directory.Account{Name: fmt.Sprintf("u%d@example.test", i), Password: strings.Repeat("h", 60)}
		require.NoError(b, d.AddAccount(b.Context(), a))
	}
	require.NoError(b, d.Close())
	for b.Loop() {
		d, err := Open(path)
		require.NoError(b, err)
		require.Len(b, d.names.accounts, 100_000)
		require.NoError(b, d.Close())
	}
}

func BenchmarkResolve(b *testing.B) {
	d, err := open(unsynced{}, filepath.Join(b.TempDir(), "directory"))
	require.NoError(b, err)
	defer d.Close()
	require.NoError(b, d.AddDomain(b.Context(), "example.test"))
	for i := range 10_000 {
		require.NoError(b, d.AddAccount(b.Context(), directory.Account{Name: fmt.Sprintf("u%d@example.test", i)}))
	}
	a := mail.MustParseAddress("U777@Example.test")
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := d.Resolve(b.Context(), a); err != nil {
				b.Error(err)
			}
		}
	})
}
