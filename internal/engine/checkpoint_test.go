package engine

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// churned is a closed engine of which the first segments are gone, since their
// bodies died, although keys that were set there live on.
func churned(t *testing.T, o Options) (keep BlobID) {
	e, err := Open("e", o)
	require.NoError(t, err)
	commit(t, e, nil, setKey("old", "but alive"))
	commit(t, e, nil, setKey("c/cache", "not kept"))
	commit(t, e, nil, setKey("gone", "soon"))
	for i := range 30 {
		drop(t, e, store(t, e, octets(900, uint32(i))))
	}
	commit(t, e, nil, func(tx *Tx) error { tx.Delete([]byte("gone")); return nil })
	keep = store(t, e, octets(700, 99))
	require.NoError(t, e.Close())
	// What closing flushed is what makes segments removable.
	e, err = Open("e", o)
	require.NoError(t, err)
	require.NoError(t, e.reclaim(t.Context()))
	require.Less(t, len(e.accounts.numbers()), 10)
	require.NotZero(t, e.checkpoint.number)
	commit(t, e, nil, setKey("new", "after the checkpoint"))
	require.NoError(t, e.Close())
	return keep
}

func tiny(fs vfs.FS) Options {
	o := quiet(fs)
	o.SegmentSize, o.Caches = 2000, "c"
	return o
}

func requireChurned(t *testing.T, e *Engine, keep BlobID) {
	t.Helper()
	requireKey(t, e, "old", "but alive")
	requireKey(t, e, "new", "after the checkpoint")
	requireNoKey(t, e, "gone")
	requireBody(t, e, keep, octets(700, 99))
	checkAccounts(t, e)
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
}

// TestIndexIsMadeAgainFromTheLog loses the whole index, in every way.
func TestIndexIsMadeAgainFromTheLog(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, fs vfs.FS, o *Options){
		"removed":  func(t *testing.T, fs vfs.FS, _ *Options) { require.NoError(t, fs.RemoveAll("e/index")) },
		"rebuilt":  func(_ *testing.T, _ vfs.FS, o *Options) { o.Rebuild = true },
		"not lost": func(*testing.T, vfs.FS, *Options) {},
		"damaged": func(t *testing.T, fs vfs.FS, o *Options) {
			names, err := fs.List("e/index")
			require.NoError(t, err)
			for _, n := range names {
				if strings.HasSuffix(n, ".sst") {
					edit(t, fs, "e/index/"+n, func(b []byte) []byte { clear(b); return b })
				}
			}
			_, err = Open("e", *o)
			require.ErrorIs(t, err, ErrDamaged)
			o.Rebuild = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := tiny(fs)
			keep := churned(t, o)
			lose(t, fs, &o)
			e, err := Open("e", o)
			require.NoError(t, err)
			requireChurned(t, e, keep)
			if name == "removed" {
				requireNoKey(t, e, "c/cache")
			}
			require.NoError(t, e.Close())
			o.Rebuild = false
			e, err = Open("e", o)
			require.NoError(t, err)
			requireChurned(t, e, keep)
			require.NoError(t, e.Close())
		})
	}
}

// TestDamagedCheckpointIsReplaced damages what nobody needs at the moment.
func TestDamagedCheckpointIsReplaced(t *testing.T) {
	fs := vfs.NewMem()
	o := tiny(fs)
	keep := churned(t, o)
	name, number := newestCheckpoint(t, fs)
	edit(t, fs, name, func(b []byte) []byte { b[9] ^= 1; return b })
	e, err := Open("e", o)
	require.NoError(t, err)
	requireDamaged(t, e, "checkpoint")
	for i := range 10 {
		drop(t, e, store(t, e, octets(900, uint32(i))))
	}
	require.NoError(t, e.Close())
	e, err = Open("e", o)
	require.NoError(t, err)
	require.NoError(t, e.reclaim(t.Context()))
	require.NoError(t, e.Close())
	_, after := newestCheckpoint(t, fs)
	require.Greater(t, after, number)
	o.Rebuild = true
	e, err = Open("e", o)
	require.NoError(t, err)
	requireChurned(t, e, keep)
	require.NoError(t, e.Close())
}

func newestCheckpoint(t *testing.T, fs vfs.FS) (name string, number uint32) {
	t.Helper()
	numbers, err := listNumbered(fs, "e/log", checkpointSuffix)
	require.NoError(t, err)
	require.Len(t, numbers, 1)
	return "e/log/" + checkpointName(numbers[0]), numbers[0]
}

func requireDamaged(t *testing.T, e *Engine, what string) {
	t.Helper()
	var found []string
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { found = append(found, d.Error()) }}))
	require.Contains(t, strings.Join(found, "\n"), what)
}

// TestSalvageGoesOnAfterDamage damages the log or the checkpoint where the
// index has to be made again, and requires everything that was not hit.
func TestSalvageGoesOnAfterDamage(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, fs vfs.FS, ids []BlobID)
		lost   int // which body; -1: none
	}{
		"record":          {flipRecord(2), 2},
		"first record":    {flipRecord(0), 0},
		"header":          {flipSegment(10), -1},
		"later header":    {func(t *testing.T, fs vfs.FS, _ []BlobID) { flipAt(t, fs, "e/log/00000002.seg", 20) }, -1},
		"missing segment": {func(t *testing.T, fs vfs.FS, _ []BlobID) { require.NoError(t, fs.Remove("e/log/00000002.seg")) }, 3},
		"segment cut short": {func(t *testing.T, fs vfs.FS, _ []BlobID) {
			edit(t, fs, "e/log/00000001.seg", func(b []byte) []byte { return b[:len(b)-1920] })
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := quiet(fs)
			o.SegmentSize = 3000
			e, err := Open("e", o)
			require.NoError(t, err)
			var ids []BlobID
			for i := range 5 {
				ids = append(ids, store(t, e, octets(1900, uint32(i))))
			}
			require.NoError(t, e.Close())
			c.damage(t, fs, ids)
			o.Rebuild = true
			_, err = Open("e", o)
			require.ErrorIs(t, err, ErrDamaged)
			var found []*Damage
			o.Salvage = func(d *Damage) { found = append(found, d) }
			e, err = Open("e", o)
			require.NoError(t, err)
			defer e.Close()
			require.NotEmpty(t, found)
			for i, id := range ids {
				if got, err := readBody(e, id); err != nil {
					require.True(t, i == c.lost || name == "missing segment" && id>>32 == 2, "body %d: %v", i, err)
				} else {
					require.Equal(t, octets(1900, uint32(i)), got)
				}
			}
			checkAccounts(t, e)
			fresh := store(t, e, octets(10, 1))
			require.NotContains(t, ids, fresh)
		})
	}
}

func flipAt(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	edit(t, fs, name, func(b []byte) []byte { b[at] ^= 4; return b })
}

func flipRecord(n int) func(*testing.T, vfs.FS, []BlobID) {
	return func(t *testing.T, fs vfs.FS, ids []BlobID) {
		flipAt(t, fs, fmt.Sprintf("e/log/%08d.seg", ids[n]>>32), offsetOf(ids[n])+45)
	}
}

func flipSegment(at int64) func(*testing.T, vfs.FS, []BlobID) {
	return func(t *testing.T, fs vfs.FS, _ []BlobID) { flipAt(t, fs, firstSegment, at) }
}

// TestSalvageUsesWhatADamagedCheckpointHas damages each octet of a checkpoint
// in turn, some of them, and has the index made again.
func TestSalvageUsesWhatADamagedCheckpointHas(t *testing.T) {
	fs := vfs.NewMem()
	o := tiny(fs)
	keep := churned(t, o)
	name, _ := newestCheckpoint(t, fs)
	info, err := fs.Stat(name)
	require.NoError(t, err)
	for at := int64(0); at < info.Size(); at += 7 {
		if at >= 28 && at < checkpointHead {
			continue // nothing stands there
		}
		flipAt(t, fs, name, at)
		o := o
		o.Rebuild = true
		_, err := Open("e", o)
		require.ErrorIs(t, err, ErrDamaged, "octet %d", at)
		found := 0
		o.Salvage = func(*Damage) { found++ }
		e, err := Open("e", o)
		require.NoError(t, err, "octet %d", at)
		require.NotZero(t, found)
		requireBody(t, e, keep, octets(700, 99))
		requireKey(t, e, "new", "after the checkpoint")
		checkAccounts(t, e)
		flipBack := func(b []byte) []byte { b[at] ^= 4; return b }
		require.NoError(t, e.Close())
		if _, err := fs.Stat(name); err != nil { // another was made
			return
		}
		edit(t, fs, name, flipBack)
	}
}

// TestFullDiskDoesNotKeepDeadSegments lets no checkpoint be made.
func TestFullDiskDoesNotKeepDeadSegments(t *testing.T) {
	disk := vfs.NewMem()
	full := true
	fs := faulty(disk, func(o op) error {
		if full && strings.Contains(o.name, checkpointSuffix) {
			return syscall.ENOSPC
		}
		return nil
	})
	o := tiny(fs)
	e, err := Open("e", o)
	require.NoError(t, err)
	for i := range 20 {
		drop(t, e, store(t, e, octets(900, uint32(i))))
	}
	require.NoError(t, e.Close())
	e, err = Open("e", o)
	require.NoError(t, err)
	require.NoError(t, e.reclaim(t.Context()))
	require.Less(t, len(e.accounts.numbers()), 4)
	require.Zero(t, e.checkpoint.number)
	require.NoError(t, e.Close())
}

// TestIndexIsKeptWhenNoneCanBeMade takes away what a new index would need.
func TestIndexIsKeptWhenNoneCanBeMade(t *testing.T) {
	fs := vfs.NewMem()
	o := tiny(fs)
	keep := churned(t, o)
	name, _ := newestCheckpoint(t, fs)
	require.NoError(t, fs.Remove(name))
	rebuild := o
	rebuild.Rebuild = true
	_, err := Open("e", rebuild)
	require.ErrorIs(t, err, ErrDamaged)
	e, err := Open("e", o)
	require.NoError(t, err)
	requireChurned(t, e, keep)
	require.NoError(t, e.Close())
}
