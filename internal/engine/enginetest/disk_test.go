package enginetest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func create(t *testing.T, d *Disk, name, text string) vfs.File {
	t.Helper()
	f, err := d.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write([]byte(text))
	require.NoError(t, err)
	return f
}

func syncDir(t *testing.T, d *Disk, dir string) {
	t.Helper()
	f, err := d.OpenDir(dir)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
}

// content is what stands in a file, or "-".
func content(d *Disk, name string) string {
	f, err := d.Open(name)
	if err != nil {
		return "-"
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestCutLeavesEveryMixtureOfWhatWasNotSynced cuts the power again and again at
// one moment and requires that everything is found that can be.
func TestCutLeavesEveryMixtureOfWhatWasNotSynced(t *testing.T) {
	d := NewDisk()
	require.NoError(t, d.MkdirAll("dir", 0o700))
	syncDir(t, d, "/")
	f := create(t, d, "dir/a", "old")
	require.NoError(t, f.Sync())
	require.NoError(t, create(t, d, "dir/b", "b").Sync())
	syncDir(t, d, "dir")
	_, err := f.WriteAt([]byte("NEW"), 0)
	require.NoError(t, err)
	require.NoError(t, d.Remove("dir/b"))
	require.NoError(t, create(t, d, "dir/c", "c").Sync())
	require.NoError(t, d.Rename("dir/c", "dir/d"))

	require.Equal(t, "old b - -", state(d.Cut(0, nil)))
	require.Equal(t, "NEW - - c", state(d.Copy()))
	require.Equal(t, "old b - -", state(d.Copy().Cut(0, nil)), "what was not synced is still not")
	rng := rand.New(rand.NewPCG(1, 1))
	require.Equal(t, "NEW - - c", state(d.Cut(100, rng)))
	found := map[string]bool{}
	for range 4000 {
		left := d.Cut(50, rng)
		require.Equal(t, state(left), state(left.Cut(0, nil)))
		found[state(left)] = true
	}
	for _, a := range []string{"old", "NEW", "Nld", "NEd"} {
		for _, b := range []string{"b", "-"} {
			for _, cd := range []string{"- -", "c -", "- c"} {
				want := fmt.Sprintf("%s %s %s", a, b, cd)
				require.True(t, found[want], want)
				delete(found, want)
			}
		}
	}
	require.Empty(t, found)
}

func state(d *Disk) string {
	return fmt.Sprintf("%s %s %s %s", content(d, "dir/a"), content(d, "dir/b"), content(d, "dir/c"), content(d, "dir/d"))
}

func TestCutLeavesSomeSectorsOfAWrite(t *testing.T) {
	d := NewDisk()
	f := create(t, d, "a", "")
	require.NoError(t, f.Sync())
	syncDir(t, d, "/")
	long := make([]byte, 3*sector)
	for i := range long {
		long[i] = byte('0' + i/sector)
	}
	_, err := f.Write(long)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	kinds := map[string]bool{}
	for range 1000 {
		b := content(d.Cut(50, rng), "a")
		kind := ""
		for i := 0; i < len(b); i += sector {
			kind += b[i : i+1]
		}
		kinds[kind] = true
	}
	for _, kind := range []string{"", "0", "01", "012", "\x001", "\x00\x002", "0\x002", "\x00\x00\x00"} {
		require.True(t, kinds[kind], "%q", kind)
	}
}

func TestStepFailsAndOfAWriteHalfIsDone(t *testing.T) {
	d := NewDisk()
	fail := errors.New("no")
	failing := ""
	d.Before = func(s Step) error {
		if s.Kind == failing {
			return fail
		}
		return nil
	}
	f := create(t, d, "a", "1234")
	for kind, step := range map[string]func() error{
		"write":    func() error { _, err := f.Write([]byte("5678")); return err },
		"truncate": func() error { return f.(*diskFile).Truncate(0) },
		"sync":     f.Sync,
		"syncdir":  func() error { dir, err := d.OpenDir("/"); require.NoError(t, err); return dir.Sync() },
		"create":   func() error { _, err := d.Create("a", vfs.WriteCategoryUnspecified); return err },
		"mkdir":    func() error { return d.MkdirAll("x/y", 0o700) },
		"link":     func() error { return d.Link("a", "b") },
		"rename":   func() error { return d.Rename("a", "b") },
		"remove":   func() error { return d.RemoveAll("a") },
	} {
		failing = kind
		require.ErrorIs(t, step(), fail, kind)
	}
	require.Equal(t, "123456", content(d, "a"))
	require.Equal(t, "-", content(d.Cut(0, nil), "a"))
}
