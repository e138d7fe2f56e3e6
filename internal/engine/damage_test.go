package engine

import (
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// edit changes a file.
func edit(t *testing.T, fs vfs.FS, name string, f func(octets []byte) []byte) {
	t.Helper()
	r, err := fs.Open(name)
	require.NoError(t, err)
	octets, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	w, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = w.Write(f(octets))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.NoError(t, w.Close())
}

const firstSegment = "e/log/00000001.seg"

// crashed is a disk with three changes that the index on disk does not know,
// in three groups, and where the last record begins.
func crashed(t *testing.T) (disk *vfs.MemFS, ids []BlobID) {
	disk = vfs.NewCrashableMem()
	e := openAt(t, disk, "e")
	for i := range 3 {
		ids = append(ids, store(t, e, octets(5000, uint32(i))))
	}
	return disk.CrashClone(vfs.CrashCloneCfg{}), ids
}

func offsetOf(id BlobID) int64 { return int64(id & 0xffffffff) }

func TestTornTailIsCut(t *testing.T) {
	zeros := make([]byte, 1<<20)
	tails := map[string]func(b []byte) []byte{
		"zeros":             func(b []byte) []byte { return append(b, zeros...) },
		"noise":             func(b []byte) []byte { return append(b, octets(5000, 99)...) },
		"one octet":         func(b []byte) []byte { return append(b, b[8]) },
		"salt":              func(b []byte) []byte { return append(b, b[8:16]...) },
		"half a head":       func(b []byte) []byte { return append(b, b[64:84]...) },
		"head of elsewhere": func(b []byte) []byte { return append(b, b[64:5100]...) },
		"zeros then noise":  func(b []byte) []byte { return append(append(b, zeros...), octets(5000, 99)...) },
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			disk, ids := crashed(t)
			edit(t, disk, firstSegment, tail)
			e := openAt(t, disk, "e")
			for i, id := range ids {
				requireBody(t, e, id, octets(5000, uint32(i)))
			}
			requireWritable(t, e, disk)
		})
	}
	for name, tear := range map[string]func(b []byte, last int) []byte{
		"record without body":     func(b []byte, last int) []byte { return b[:len(b)-5000] },
		"half a body":             func(b []byte, last int) []byte { return b[:len(b)-2500] },
		"all but one octet":       func(b []byte, last int) []byte { return b[:len(b)-1] },
		"head only":               func(b []byte, last int) []byte { return b[:last+recordHead] },
		"zeros in the body":       func(b []byte, last int) []byte { copy(b[len(b)-4096:], zeros); return b },
		"zeros instead of head":   func(b []byte, last int) []byte { copy(b[last:last+recordHead], zeros); return b },
		"zeros instead of change": func(b []byte, last int) []byte { copy(b[last+recordHead:], zeros[:30]); return b },
		"bit in the length":       func(b []byte, last int) []byte { b[last+35] ^= 0x40; return b },
		"bit in the body":         func(b []byte, last int) []byte { b[len(b)-1] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			disk, ids := crashed(t)
			edit(t, disk, firstSegment, func(b []byte) []byte { return tear(b, int(offsetOf(ids[2]))) })
			e := openAt(t, disk, "e")
			for i, id := range ids[:2] {
				requireBody(t, e, id, octets(5000, uint32(i)))
			}
			_, err := e.Open(ids[2])
			require.ErrorIs(t, err, ErrNoBlob)
			requireWritable(t, e, disk)
		})
	}
}

// requireWritable requires that changes made now survive.
func requireWritable(t *testing.T, e *Engine, disk *vfs.MemFS) {
	t.Helper()
	id := store(t, e, octets(300, 77))
	e2 := openAt(t, disk.CrashClone(vfs.CrashCloneCfg{}), "e")
	requireBody(t, e2, id, octets(300, 77))
	require.NoError(t, e2.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
}

func TestDamageBeforeTheLastGroupIsReportedNotCut(t *testing.T) {
	for name, c := range map[string]struct {
		at   func(ids []BlobID) int64
		want func(ids []BlobID) int64
	}{
		"first record":  {func(ids []BlobID) int64 { return offsetOf(ids[0]) + 9 }, func(ids []BlobID) int64 { return offsetOf(ids[0]) }},
		"second record": {func(ids []BlobID) int64 { return offsetOf(ids[1]) + 45 }, func(ids []BlobID) int64 { return offsetOf(ids[1]) }},
		"second salt":   {func(ids []BlobID) int64 { return offsetOf(ids[1]) }, func(ids []BlobID) int64 { return offsetOf(ids[1]) }},
		"header":        {func([]BlobID) int64 { return 10 }, func([]BlobID) int64 { return 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			disk, ids := crashed(t)
			edit(t, disk, firstSegment, func(b []byte) []byte { b[c.at(ids)] ^= 4; return b })
			_, err := Open("e", quiet(disk))
			require.ErrorIs(t, err, ErrDamaged)
			var d *Damage
			require.ErrorAs(t, err, &d)
			require.Equal(t, Damage{Segment: 1, Offset: c.want(ids), What: d.What}, *d)
		})
	}
	t.Run("body", func(t *testing.T) {
		disk, ids := crashed(t)
		edit(t, disk, firstSegment, func(b []byte) []byte { b[offsetOf(ids[1])-1] ^= 4; return b })
		e := openAt(t, disk, "e")
		_, err := readBody(e, ids[0])
		require.ErrorIs(t, err, ErrDamaged)
		requireBody(t, e, ids[1], octets(5000, 1))
	})
}

func TestMissingSegmentIsDamage(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := quiet(disk)
	o.SegmentSize = 2000
	e, err := Open("e", o)
	require.NoError(t, err)
	defer e.Close()
	for i := range 4 {
		store(t, e, octets(3000, uint32(i)))
	}
	for _, name := range []string{"e/log/00000001.seg", "e/log/00000002.seg"} {
		fs := disk.CrashClone(vfs.CrashCloneCfg{})
		require.NoError(t, fs.Remove(name))
		e, err := Open("e", quiet(fs))
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			continue
		}
		var found []*Damage
		require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { found = append(found, d) }}))
		require.NoError(t, e.Close())
		require.NotEmpty(t, found, name)
	}
}

func TestEveryFlippedBitIsFoundByReading(t *testing.T) {
	disk := vfs.NewMem()
	e := openAt(t, disk, "e")
	sizes := []int{100, 0, chunkSize + 700}
	var ids []BlobID
	for i, n := range sizes {
		ids = append(ids, store(t, e, octets(n, uint32(i))))
	}
	commit(t, e, nil, setKey("k", "v"))
	require.NoError(t, e.Close())
	info, err := disk.Stat(firstSegment)
	require.NoError(t, err)
	seed := rand.Uint64()
	rng := rngOf(seed)
	for range 200 {
		at := rng.Int64N(info.Size())
		if rng.IntN(3) == 0 {
			at = rng.Int64N(300)
		}
		if at >= 36 && at < segmentHead {
			continue // nothing stands there
		}
		bit := byte(1) << rng.IntN(8)
		flip := func(b []byte) []byte { b[at] ^= bit; return b }
		edit(t, disk, firstSegment, flip)
		requireFound(t, disk, ids, sizes, at)
		edit(t, disk, firstSegment, flip)
	}
	e = openAt(t, disk, "e")
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
}

// requireFound requires that the flipped bit at an offset is found by Check or
// Open, and that no body is handed out wrong.
func requireFound(t *testing.T, disk *vfs.MemFS, ids []BlobID, sizes []int, at int64) {
	t.Helper()
	e, err := Open("e", quiet(disk))
	if err != nil {
		require.ErrorIs(t, err, ErrDamaged)
		return
	}
	defer e.Close()
	var found []*Damage
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { found = append(found, d) }}))
	require.NotEmpty(t, found, "bit at %d", at)
	for i, id := range ids {
		got, err := readBody(e, id)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			continue
		}
		require.Equal(t, octets(sizes[i], uint32(i)), got)
	}
}

func TestDamagedPartOfBodyIsNotHandedOut(t *testing.T) {
	disk := vfs.NewMem()
	e := openAt(t, disk, "e")
	n := 3 * chunkSize
	id := store(t, e, octets(n, 1))
	require.NoError(t, e.Close())
	edit(t, disk, firstSegment, func(b []byte) []byte { b[len(b)-chunkSize-1] ^= 1; return b })
	e = openAt(t, disk, "e")
	body, err := e.Open(id)
	require.NoError(t, err)
	defer body.Close()
	for _, c := range []struct {
		off, n int
		bad    bool
	}{{0, 10, false}, {0, chunkSize, false}, {chunkSize - 5, 10, true}, {chunkSize, 1, true}, {chunkSize, chunkSize, true}, {2 * chunkSize, chunkSize, false}, {0, n, true}} {
		p := make([]byte, c.n)
		_, err := body.ReadAt(p, int64(c.off))
		if c.bad {
			require.ErrorIs(t, err, ErrDamaged)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, octets(n, 1)[c.off:c.off+c.n], p)
	}
}

func TestBodyReadsAnywhere(t *testing.T) {
	e := openMem(t)
	want := octets(5*chunkSize+321, 9)
	id := store(t, e, want)
	rng := rngOf(1)
	for range 20 {
		body, err := e.Open(id)
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), body.Size())
		for range 20 {
			off := rng.IntN(len(want) + 10)
			p := make([]byte, rng.IntN(3*chunkSize))
			n, err := body.ReadAt(p, int64(off))
			if off+len(p) > len(want) {
				require.Equal(t, io.EOF, err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, want[min(off, len(want)):min(off+len(p), len(want))], p[:n])
		}
		_, err = body.ReadAt(make([]byte, 1), -1)
		require.Error(t, err)
		require.NoError(t, body.Close())
		require.NoError(t, body.Close())
		_, err = body.ReadAt(make([]byte, 1), 0)
		require.Error(t, err)
	}
}
