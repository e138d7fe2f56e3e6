package engine

import (
	"context"
	"io/fs"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

// TestBackupIsOneMomentOfARunningEngine backs an engine up again and again
// while users change it, and requires that each copy is a moment that was
// acknowledged at the latest when the next one began, whole, without damage,
// and that it goes on as an engine of its own.
func TestBackupIsOneMomentOfARunningEngine(t *testing.T) {
	for _, links := range []string{"links", "copies"} {
		t.Run(links, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			var files vfs.FS = disk
			if links == "copies" {
				files = noLinks{disk}
			}
			o := quiet(files)
			o.SegmentSize, o.memTable = 20<<10, 32<<10
			e, err := Open("e", o)
			require.NoError(t, err)
			const seed = 5
			users := []*user{newUser(0, seed), newUser(1, seed), newUser(2, seed)}
			var wg sync.WaitGroup
			for _, u := range users {
				wg.Go(func() { u.work(e) })
			}
			for range 8 {
				acked := make([]int64, len(users))
				for i, u := range users {
					acked[i] = u.acked.Load()
				}
				last := int64(-1)
				require.NoError(t, e.Backup(context.Background(), "copy", func(done, total int64) { require.GreaterOrEqual(t, done, last); last = done }))
				o := o
				left := disk.CrashClone(vfs.CrashCloneCfg{})
				o.FS = left
				requireBackup(t, o, users, acked, seed)
				require.NoError(t, disk.RemoveAll("copy"))
			}
			require.NoError(t, e.Close())
			wg.Wait()
		})
	}
}

func requireBackup(t *testing.T, o Options, users []*user, acked []int64, seed uint64) {
	t.Helper()
	c, err := Open("copy", o)
	require.NoError(t, err)
	for i, u := range users {
		newUser(i, seed).check(t, c, seed, acked[i], u.started.Load())
	}
	checkAccounts(t, c)
	require.NoError(t, c.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
	id := store(t, c, octets(100, 1))
	requireBody(t, c, id, octets(100, 1))
	require.NoError(t, c.Close())
}

// noLinks is a file system that can't link.
type noLinks struct{ vfs.FS }

func (noLinks) Link(string, string) error { return syscall.EXDEV }

func TestBackupThatFailsLeavesNothing(t *testing.T) {
	disk := vfs.NewMem()
	full := false
	e := openAt(t, faulty(disk, func(o op) error {
		if full && o.kind == "write" {
			return syscall.ENOSPC
		}
		return nil
	}), "e")
	id := store(t, e, octets(5000, 1))
	full = true
	require.ErrorIs(t, e.Backup(t.Context(), "copy", func(int64, int64) {}), syscall.ENOSPC)
	full = false
	for _, name := range []string{"copy", "copy.tmp"} {
		_, err := disk.Stat(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.Backup(ctx, "copy", func(int64, int64) {}), context.Canceled)
	require.NoError(t, e.Backup(t.Context(), "copy", func(int64, int64) {}))
	require.Error(t, e.Backup(t.Context(), "copy", func(int64, int64) {}), "it exists")
	c := openAt(t, disk, "copy")
	requireBody(t, c, id, octets(5000, 1))
}

// TestNothingIsLeftOfABackupWhoseNameIsNotDurable lets the very last step fail.
func TestNothingIsLeftOfABackupWhoseNameIsNotDurable(t *testing.T) {
	disk := enginetest.NewDisk()
	renamed, failed := false, false
	disk.Before = func(s enginetest.Step) error {
		if s.Kind == "syncdir" && renamed && !failed {
			failed = true
			return syscall.EIO
		}
		renamed = renamed || s.Kind == "rename" && s.Name == "copy"
		return nil
	}
	e := openAt(t, disk, "e")
	store(t, e, octets(1000, 1))
	require.ErrorIs(t, e.Backup(t.Context(), "copy", func(int64, int64) {}), syscall.EIO)
	_, err := disk.Stat("copy")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, e.Backup(t.Context(), "copy", func(int64, int64) {}))
}
