package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// withLocations are options with these locations, which are made.
func withLocations(t testing.TB, fs vfs.FS, l ...Location) Options {
	t.Helper()
	for _, l := range l {
		require.NoError(t, fs.MkdirAll(l.Path, 0o700))
	}
	o := quiet(fs)
	o.Locations, o.SegmentSize = l, 10_000
	return o
}

func openWith(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open("e", o)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	return e
}

func at(t *testing.T, e *Engine, path string) LocationStats {
	t.Helper()
	for _, l := range e.Stats().Locations {
		if l.Path == path {
			return l
		}
	}
	t.Fatalf("no location %s", path)
	return LocationStats{}
}

// fill stores bodies of 1,000 octets until one is refused.
func fill(t *testing.T, e *Engine) (ids []BlobID) {
	t.Helper()
	for i := range 1000 {
		var id BlobID
		err := tryCommit(e, octets(1000, uint32(i)), func(tx *Tx) error {
			id = tx.Blob()
			tx.Ref(id, 1)
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			require.ErrorIs(t, err, syscall.ENOSPC)
			return ids
		}
		ids = append(ids, id)
	}
	return ids
}

func TestFullLocationRollsToTheNextAndAllFullIsTemporary(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := withLocations(t, fs, Location{Path: "a", Limit: 25_000}, Location{Path: "b", Limit: 45_000})
	e := openWith(t, o)
	ids := fill(t, e)
	a, b := at(t, e, "a"), at(t, e, "b")
	require.Equal(t, 3, a.Segments, "the third is only half full")
	require.InDelta(t, 25_000, a.Used, 1100)
	require.InDelta(t, 45_000, b.Used, 1100)
	require.LessOrEqual(t, a.Used, int64(25_100))
	require.Zero(t, at(t, e, "e/log").Segments)

	for i := range 300 {
		commit(t, e, nil, setKey(fmt.Sprint("flag/", i), strings.Repeat("x", 100)))
	}
	require.Empty(t, fill(t, e), "changes without a body went through, and still there is no room")
	for _, id := range ids[:20] {
		drop(t, e, id)
	}
	e.janitor.flush()
	require.Eventually(t, func() bool { return at(t, e, "a").Used < 5_000 }, 5*time.Second, time.Millisecond)
	more := fill(t, e)
	require.NotEmpty(t, more, "what was removed makes room again")

	for range 2 {
		for i, id := range ids[20:] {
			requireBody(t, e, id, octets(1000, uint32(20+i)))
		}
		for i, id := range more {
			requireBody(t, e, id, octets(1000, uint32(i)))
		}
		checkAccounts(t, e)
		require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
		o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
		e = openWith(t, o)
	}
}

// TestGroupIsSplitWhereALocationIsFull: of changes that would share a sync,
// those that have no room any more go to the next location.
func TestGroupIsSplitWhereALocationIsFull(t *testing.T) {
	o := withLocations(t, vfs.NewMem(), Location{Path: "a", Limit: 5_000}, Location{Path: "b", Limit: 9_000}, Location{Path: "c", Limit: 2_000})
	e := openWith(t, o)
	var changes []*Change
	for range 20 {
		changes = append(changes, body1000(), &Change{Build: setKey("k", "v")})
	}
	made := 0
	for i, err := range holdGroup(t, e, func() {}, changes...) {
		if i%2 == 1 {
			require.NoError(t, err)
			continue
		}
		if err == nil {
			made++
			continue
		}
		require.ErrorIs(t, err, ErrNoSpace)
	}
	require.Equal(t, 4+8+1, made)
	require.Less(t, e.Stats().Groups, uint64(10))
}

func body1000() *Change {
	return &Change{Body: message.FromBytes(octets(1000, 1)), Build: func(tx *Tx) error { tx.Ref(tx.Blob(), 1); return nil }}
}

// diskFS has a disk for each top directory.
type diskFS struct {
	vfs.FS
	free map[string]*atomic.Int64
}

func (d diskFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(d.free[strings.Split(path, "/")[0]].Load())}, nil
}

func TestDiskBelowItsReserveRollsToTheNextLocation(t *testing.T) {
	d := diskFS{vfs.NewMem(), map[string]*atomic.Int64{"a": {}, "b": {}, "e": {}}}
	for _, free := range d.free {
		free.Store(10 << 20)
	}
	o := withLocations(t, d, Location{Path: "a"}, Location{Path: "b"})
	o.Reserve = 1 << 20
	e := openWith(t, o)
	store(t, e, octets(1000, 1))
	d.free["a"].Store(1000)
	store(t, e, octets(spaceStep+1, 1)) // free space is not looked at all the time
	store(t, e, octets(1000, 2))
	require.Equal(t, 1, at(t, e, "b").Segments, "in the middle of a segment")
	d.free["b"].Store(1000)
	store(t, e, octets(spaceStep+1, 1))
	require.ErrorIs(t, tryCommit(e, octets(1000, 1), setKey("no", "")), ErrNoSpace)
	commit(t, e, nil, setKey("k", "v"))
	d.free["a"].Store(10 << 20)
	store(t, e, octets(1000, 3))
	require.Equal(t, int64(10<<20), at(t, e, "a").Free)
	d.free["e"].Store(1000)
	store(t, e, octets(spaceStep+1, 1))
	require.ErrorIs(t, tryCommit(e, octets(1000, 1), setKey("no", "")), ErrNoSpace, "the index's disk is full")
	checkAccounts(t, e)
}

// TestFullDiskRefusesAGroupAndTheNextGoesElsewhere: a disk can be full without
// looking so.
func TestFullDiskRefusesAGroupAndTheNextGoesElsewhere(t *testing.T) {
	for _, kind := range []string{"write", "create"} {
		var full atomic.Bool
		disk := vfs.NewCrashableMem()
		fs := faulty(disk, func(o op) error {
			if full.Load() && o.kind == kind && strings.HasPrefix(o.name, "a/") {
				return syscall.ENOSPC
			}
			return nil
		})
		o := withLocations(t, fs, Location{Path: "a"}, Location{Path: "b"})
		e := openWith(t, o)
		var ids []BlobID
		for i := range 12 {
			ids = append(ids, store(t, e, octets(1000, uint32(i))))
		}
		full.Store(true)
		if kind == "write" {
			require.ErrorIs(t, tryCommit(e, octets(1000, 1), setKey("no", "")), ErrNoSpace)
		}
		for i := 12; i < 40; i++ {
			ids = append(ids, store(t, e, octets(1000, uint32(i))))
		}
		require.Equal(t, 2, at(t, e, "a").Segments)
		o.FS = disk.CrashClone(vfs.CrashCloneCfg{})
		e = openWith(t, o)
		for i, id := range ids {
			requireBody(t, e, id, octets(1000, uint32(i)))
		}
		checkAccounts(t, e)
	}
}

func TestReadOnlyLocationIsReadAndNeverWritten(t *testing.T) {
	disk := vfs.NewCrashableMem()
	a, b := Location{Path: "a"}, Location{Path: "b"}
	e := openWith(t, withLocations(t, disk, a, b))
	var ids []BlobID
	for i := range 25 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	require.NoError(t, e.Close())
	edit(t, disk, "a/00000003.seg", func(b []byte) []byte { return append(b, "never acknowledged"...) })

	a.ReadOnly = true
	steps := 0
	fs := faulty(disk, func(o op) error {
		if strings.HasPrefix(o.name, "a/") && o.kind != "sync" {
			steps++
		}
		return nil
	})
	e = openWith(t, withLocations(t, fs, a, b))
	for i := range 10 {
		ids = append(ids, store(t, e, octets(1000, uint32(25+i))))
	}
	for _, id := range ids[:24] {
		drop(t, e, id)
	}
	freed, err := e.Compact(context.Background())
	require.NoError(t, err)
	require.Zero(t, freed)
	require.NoError(t, e.Close())
	require.Zero(t, steps)
	e = openWith(t, withLocations(t, fs, a, b))
	require.NoError(t, e.reclaim(t.Context()))
	require.Equal(t, 3, at(t, e, "a").Segments)
	for i, id := range ids[24:] {
		requireBody(t, e, id, octets(1000, uint32(24+i)))
	}
	checkAccounts(t, e)
	require.Zero(t, steps)
	require.NoError(t, e.Close())

	b.ReadOnly = true
	_, err = Open("e", withLocations(t, fs, a, b))
	require.ErrorIs(t, err, ErrLocation)
}

// TestOwnLogIsReadWhenLocationsCome opens a store with locations for the first
// time.
func TestOwnLogIsReadWhenLocationsCome(t *testing.T) {
	fs := vfs.NewMem()
	e := openSmall(t, fs)
	var ids []BlobID
	for i := range 15 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	require.NoError(t, e.Close())
	for range 2 {
		e = openWith(t, withLocations(t, fs, Location{Path: "a"}))
		ids = append(ids, store(t, e, octets(1000, uint32(len(ids)))))
		for i, id := range ids {
			requireBody(t, e, id, octets(1000, uint32(i)))
		}
		require.Equal(t, 2, at(t, e, "e/log").Segments)
		require.True(t, at(t, e, "e/log").ReadOnly)
		require.Equal(t, 1, at(t, e, "a").Segments)
		require.NoError(t, e.Close())
	}
	e = openWith(t, withLocations(t, fs, Location{Path: "a"}, Location{Path: "e/log"}))
	require.False(t, at(t, e, "e/log").ReadOnly, "it was named")
	for _, id := range ids[:15] {
		drop(t, e, id)
	}
	e.janitor.flush()
	require.Eventually(t, func() bool { return at(t, e, "e/log").Segments == 0 }, 5*time.Second, time.Millisecond)
}

// twoLocations is a disk with a segment in each of two locations.
func twoLocations(t *testing.T) *vfs.MemFS {
	fs := vfs.NewMem()
	e := openWith(t, withLocations(t, fs, Location{Path: "a", Limit: 5_000}, Location{Path: "b"}))
	for i := range 12 {
		store(t, e, octets(1000, uint32(i)))
	}
	require.NoError(t, e.Close())
	return fs
}

func rename(t *testing.T, fs *vfs.MemFS, from, to string) {
	t.Helper()
	require.NoError(t, fs.Rename(from, to))
}

func TestOpenRefusesALocationThatIsNotWhatItWas(t *testing.T) {
	a, b, c := Location{Path: "a"}, Location{Path: "b"}, Location{Path: "c"}
	for name, spoil := range map[string]func(t *testing.T, fs *vfs.MemFS) (_ []Location, names string){
		"not there": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.RemoveAll("b"))
			return []Location{a, b}, "b can't be read"
		},
		"not mounted": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.RemoveAll("b"))
			require.NoError(t, fs.MkdirAll("b", 0o700))
			return []Location{a, b}, "b has lost its marker"
		},
		"of another store": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			other, err := Open("other", withLocations(t, fs, c))
			require.NoError(t, err)
			require.NoError(t, other.Close())
			return []Location{a, b, c}, "c belongs to another store"
		},
		"of another store, list lost": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.Remove("e/locations"))
			return []Location{a, b}, "a belongs to another store"
		},
		"new, with segments": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.MkdirAll("c", 0o700))
			rename(t, fs, "a/00000001.seg", "c/00000001.seg")
			return []Location{a, b, c}, "c holds segments"
		},
		"new and read-only": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.MkdirAll("c", 0o700))
			return []Location{a, b, {Path: "c", ReadOnly: true}}, "c has no marker"
		},
		"given twice": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			return []Location{a, b, a}, "a is the same as a"
		},
		"given twice, new": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.MkdirAll("c", 0o700))
			return []Location{a, b, c, c}, "c is the same as c"
		},
		"holds a segment of another": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.Link("a/00000001.seg", "b/00000001.seg"))
			return []Location{a, b}, "b holds segment 1, as does a"
		},
		"bad marker of unknown path": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			require.NoError(t, fs.MkdirAll("c", 0o700))
			rename(t, fs, "b/location", "c/location")
			edit(t, fs, "c/location", func(b []byte) []byte { b[30] ^= 1; return b })
			return []Location{a, c}, "c has a marker that can't be read"
		},
		"list damaged and marker lost": func(t *testing.T, fs *vfs.MemFS) ([]Location, string) {
			edit(t, fs, "e/locations", func(b []byte) []byte { b[30] ^= 1; return b })
			require.NoError(t, fs.Remove("b/location"))
			return []Location{a, b}, "b has no marker"
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := twoLocations(t)
			locations, names := spoil(t, fs)
			o := quiet(fs)
			o.Locations = locations
			for range 2 {
				_, err := Open("e", o)
				require.ErrorIs(t, err, ErrLocation)
				require.ErrorContains(t, err, names)
			}
		})
	}
}

func TestOpenKnowsALocationAgain(t *testing.T) {
	a, b, c := Location{Path: "a"}, Location{Path: "b"}, Location{Path: "c"}
	for name, c := range map[string]struct {
		change    func(t *testing.T, fs *vfs.MemFS)
		locations []Location
	}{
		"other order":  {func(*testing.T, *vfs.MemFS) {}, []Location{b, a}},
		"another path": {func(t *testing.T, fs *vfs.MemFS) { rename(t, fs, "b", "c") }, []Location{a, c}},
		"paths exchanged": {func(t *testing.T, fs *vfs.MemFS) {
			rename(t, fs, "a", "c")
			rename(t, fs, "b", "a")
			rename(t, fs, "c", "b")
		}, []Location{a, b}},
		"segment moved":  {func(t *testing.T, fs *vfs.MemFS) { rename(t, fs, "a/00000001.seg", "b/00000001.seg") }, []Location{a, b}},
		"index lost":     {func(t *testing.T, fs *vfs.MemFS) { require.NoError(t, fs.RemoveAll("e/index")) }, []Location{a, b}},
		"damaged marker": {func(t *testing.T, fs *vfs.MemFS) { edit(t, fs, "b/location", flip) }, []Location{a, b}},
		"damaged list":   {func(t *testing.T, fs *vfs.MemFS) { edit(t, fs, "e/locations", flip) }, []Location{a, b}},
		"list from marker": {func(t *testing.T, fs *vfs.MemFS) {
			require.NoError(t, fs.Rename("a/location", "e/locations"))
			require.NoError(t, fs.Link("e/locations", "a/location"))
		}, []Location{a, b}},
		"leftover of a try": {func(t *testing.T, fs *vfs.MemFS) {
			leaveOver(t, fs, "b/00000001.seg")
			leaveOver(t, fs, "a/00000002.seg")
		}, []Location{a, b}},
	} {
		t.Run(name, func(t *testing.T) {
			fs := twoLocations(t)
			c.change(t, fs)
			for range 2 {
				e := openWith(t, withLocations(t, fs, c.locations...))
				require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
				checkAccounts(t, e)
				store(t, e, octets(1000, 1))
				require.NoError(t, e.Close())
			}
		})
	}
}

func flip(b []byte) []byte { b[40] ^= 1; return b }

// leaveOver makes a segment's file without a record.
func leaveOver(t *testing.T, fs vfs.FS, name string) {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 20))
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestLocationInUseByAnotherEngineIsLocked(t *testing.T) {
	fs := vfs.NewMem()
	openWith(t, withLocations(t, fs, Location{Path: "a"}))
	require.NoError(t, fs.MkdirAll("copy", 0o700))
	require.NoError(t, fs.Link("e/locations", "copy/locations"))
	_, err := Open("copy", withLocations(t, fs, Location{Path: "a"}))
	require.ErrorIs(t, err, ErrLocked)
}

// TestMissingSegmentIsDamageOfItsMessagesOnly leaves out a location that old
// segments stand in, and gives it back later.
func TestMissingSegmentIsDamageOfItsMessagesOnly(t *testing.T) {
	fs := vfs.NewMem()
	a, b := Location{Path: "a", Limit: 15_000}, Location{Path: "b"}
	e := openWith(t, withLocations(t, fs, a, b))
	var ids []BlobID
	for i := range 30 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	require.NoError(t, e.Close())
	e = openWith(t, withLocations(t, fs, b))
	_, err := readBody(e, ids[0])
	require.ErrorIs(t, err, ErrDamaged)
	requireBody(t, e, ids[29], octets(1000, 29))
	store(t, e, octets(1000, 1))
	checkAccounts(t, e)
	require.NoError(t, e.Close())
	e = openWith(t, withLocations(t, fs, a, b))
	requireBody(t, e, ids[0], octets(1000, 0))
	checkAccounts(t, e)
}

// TestUnfinishedSegmentWhereNothingMayBeRemovedIsNoDamage: a crash has left the
// name of a segment in the engine's own "log", which is only read now.
func TestUnfinishedSegmentWhereNothingMayBeRemovedIsNoDamage(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll("e/log", 0o700))
	_, err := fs.Create("e/log/00000001.seg", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	o := withLocations(t, fs, Location{Path: "a"})
	for range 3 {
		e := openWith(t, o)
		for i := range 30 {
			drop(t, e, store(t, e, octets(1000, uint32(i))))
		}
		require.NoError(t, e.Close())
		e = openWith(t, o)
		require.Eventually(t, func() bool { return at(t, e, "a").Segments < 3 }, 5*time.Second, time.Millisecond)
		require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
		require.NoError(t, e.Close())
	}
}
