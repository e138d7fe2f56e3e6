package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func segments(t *testing.T, e *Engine) []uint32 {
	t.Helper()
	var numbers []uint32
	for _, l := range e.files.locations {
		found, err := listNumbered(e.fs, l.dir, segmentSuffix)
		require.NoError(t, err)
		numbers = append(numbers, found...)
	}
	slices.Sort(numbers)
	return numbers
}

func openSmall(t *testing.T, fs vfs.FS) *Engine {
	o := quiet(fs)
	o.SegmentSize = 10_000
	e, err := Open("e", o)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	return e
}

func TestDeadSegmentsAreRemoved(t *testing.T) {
	fs := vfs.NewMem()
	e := openSmall(t, fs)
	var ids []BlobID
	for i := range 40 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	last, err := e.Open(ids[0])
	require.NoError(t, err)
	for _, id := range ids[:39] {
		drop(t, e, id)
	}
	e.janitor.flush()
	require.Eventually(t, func() bool { return segments(t, e)[0] >= 1 && len(segments(t, e)) <= 3 }, 5*time.Second, time.Millisecond)
	require.Equal(t, uint32(1), segments(t, e)[0], "somebody still reads it")
	p := make([]byte, 1000)
	_, err = last.ReadAt(p, 0)
	require.NoError(t, err)
	require.Equal(t, octets(1000, 0), p)
	require.NoError(t, last.Close())
	require.NotEqual(t, uint32(1), segments(t, e)[0])
	require.NoError(t, e.Close())
	e = openSmall(t, fs)
	requireBody(t, e, ids[39], octets(1000, 39))
	checkAccounts(t, e)
}

func TestCompactMovesLiveBodies(t *testing.T) {
	disk := vfs.NewCrashableMem()
	e := openSmall(t, disk)
	var ids []BlobID
	for i := range 100 {
		ids = append(ids, store(t, e, octets(900+i, uint32(i))))
	}
	large := store(t, e, octets(largeBody+5, 7))
	commit(t, e, nil, setKey("roll", ""))
	for i, id := range ids {
		if i%4 != 0 {
			drop(t, e, id)
		}
	}
	commit(t, e, nil, func(tx *Tx) error { tx.Ref(ids[0], 4); return nil })
	before := e.Stats()
	var freed int64
	for {
		n, err := e.Compact(context.Background())
		require.NoError(t, err)
		if n == 0 {
			break
		}
		freed += n
	}
	require.Greater(t, freed, int64(70_000))
	check := func(e *Engine) {
		for i, id := range ids {
			if i%4 == 0 {
				requireBody(t, e, id, octets(900+i, uint32(i)))
			}
		}
		requireBody(t, e, large, octets(largeBody+5, 7))
		checkAccounts(t, e)
		require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
	}
	check(e)
	require.Eventually(t, func() bool { return len(segments(t, e)) < len(before.Segments)/2 }, 5*time.Second, time.Millisecond)
	check(e)
	crashed := openSmall(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	check(crashed)
	commit(t, crashed, nil, func(tx *Tx) error { tx.Ref(ids[0], -5); return nil })
	_, err := crashed.Open(ids[0])
	require.ErrorIs(t, err, ErrNoBlob)
}

func TestCompactLeavesDamagedBodyWhereItIs(t *testing.T) {
	fs := vfs.NewMem()
	e := openSmall(t, fs)
	var ids []BlobID
	for i := range 20 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	for _, id := range ids[2:] {
		drop(t, e, id)
	}
	require.NoError(t, e.Close())
	edit(t, fs, firstSegment, func(b []byte) []byte { b[offsetOf(ids[1])-1] ^= 1; return b })
	e = openSmall(t, fs)
	_, err := e.Compact(context.Background())
	require.ErrorIs(t, err, ErrDamaged)
	require.Equal(t, uint32(1), segments(t, e)[0])
	requireBody(t, e, ids[1], octets(1000, 1))
	_, err = readBody(e, ids[0])
	require.ErrorIs(t, err, ErrDamaged)
	freed, err := e.Compact(context.Background())
	require.NoError(t, err, "it is not tried again and again")
	require.Zero(t, freed)
}
