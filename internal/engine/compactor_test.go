package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// eager are options whose compaction looks all the time.
func eager(fs vfs.FS) Options {
	o := quiet(fs)
	o.SegmentSize, o.settle = 10_000, time.Millisecond
	return o
}

// TestAccountsAreExactUnderLoadAndCompaction counts the bodies again and again
// while users change them and compaction moves them, in several locations.
func TestAccountsAreExactUnderLoadAndCompaction(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := withLocations(t, disk, Location{Path: "a", Limit: 60_000}, Location{Path: "b", Limit: 40_000}, Location{Path: "c"})
	o.settle = time.Millisecond
	e := openWith(t, o)
	users := make([]*user, 6)
	var wg sync.WaitGroup
	for i := range users {
		users[i] = newUser(i, 26)
		wg.Go(func() { users[i].makeAtMost(400, e) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	counts := 0
	for running := true; running; counts++ {
		select {
		case <-done:
			running = false
		default:
			recount(t, e)
		}
	}
	awaitCompaction(t, e)
	checkAccounts(t, e)
	require.NotZero(t, e.Stats().Moved)
	t.Logf("%d counts, %d octets moved", counts, e.Stats().Moved)
	o.FS = disk.CrashClone(vfs.CrashCloneCfg{})
	for _, e := range []*Engine{e, openWith(t, o)} {
		for _, u := range users {
			u.check(t, e, 26, u.acked.Load(), u.started.Load())
		}
		checkAccounts(t, e)
	}
}

func TestCompactionStartsAlone(t *testing.T) {
	e := openWith(t, eager(vfs.NewMem()))
	var ids []BlobID
	for i := range 100 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	for i, id := range ids {
		if i%10 < 3 {
			drop(t, e, id)
		}
	}
	require.Eventually(t, func() bool { return e.Stats().Moved > 0 }, 5*time.Second, time.Millisecond)
	awaitCompaction(t, e)
	size, live := int64(0), int64(0)
	for _, s := range e.Stats().Segments {
		size, live = size+s.Size, live+s.Live
	}
	require.Less(t, float64(size), 1.3*float64(live)+10_000)
	for i, id := range ids {
		if i%10 >= 3 {
			requireBody(t, e, id, octets(1000, uint32(i)))
		}
	}
}

// TestSmallBodiesAreNotMovedForEver: of tiny messages the greatest part of the
// log is what belongs to them, and moving them gives nothing back.
func TestSmallBodiesAreNotMovedForEver(t *testing.T) {
	o := eager(vfs.NewMem())
	e := openWith(t, o)
	var ids []BlobID
	for i := range 400 {
		ids = append(ids, store(t, e, octets(20, uint32(i))))
	}
	for i, id := range ids {
		if i%2 == 0 {
			drop(t, e, id)
		}
	}
	awaitCompaction(t, e)
	require.Less(t, e.Stats().Moved, uint64(3*200*20))
	freed, err := e.Compact(context.Background())
	require.NoError(t, err)
	require.Zero(t, freed)
}

func TestNoCompactionLeavesSegmentsToTheCaller(t *testing.T) {
	o := eager(vfs.NewMem())
	o.NoCompaction = true
	e := openWith(t, o)
	var ids []BlobID
	for i := range 40 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	for _, id := range ids[1:] {
		drop(t, e, id)
	}
	<-e.compactor.done
	require.Zero(t, e.Stats().Moved)
	freed, err := e.Compact(context.Background())
	require.NoError(t, err)
	require.NotZero(t, freed)
	require.NotZero(t, e.Stats().Moved)
}

// TestCloseInTheMiddleOfCompaction stops it at each of its first writes.
func TestCloseInTheMiddleOfCompaction(t *testing.T) {
	for n := range int64(12) {
		var compacting atomic.Bool
		var writes atomic.Int64
		reached := make(chan struct{})
		disk := vfs.NewCrashableMem()
		fs := faulty(disk, func(o op) error {
			if o.segment() && compacting.Load() && writes.Add(1) == n+1 {
				close(reached)
			}
			return nil
		})
		o := eager(fs)
		o.NoCompaction = true
		e := openWith(t, o)
		var ids []BlobID
		for i := range 200 {
			ids = append(ids, store(t, e, octets(1000, uint32(i))))
		}
		for i, id := range ids {
			if i%3 > 0 {
				drop(t, e, id)
			}
		}
		require.NoError(t, e.Close())
		o.NoCompaction = false
		compacting.Store(true)
		e = openWith(t, o)
		<-reached
		require.NoError(t, e.Close())
		compacting.Store(false)
		o.FS, o.NoCompaction = disk.CrashClone(vfs.CrashCloneCfg{}), true
		e = openWith(t, o)
		for i, id := range ids {
			if i%3 == 0 {
				requireBody(t, e, id, octets(1000, uint32(i)))
			}
		}
		checkAccounts(t, e)
	}
}

// TestCloseEndsTheRest: compaction that waits between two batches does not
// keep Close waiting.
func TestCloseEndsTheRest(t *testing.T) {
	e := openMem(t)
	resting := make(chan error)
	go func() {
		e.counters.changes.Add(1) // somebody else is at work
		resting <- e.rest(e.compactor.ctx, dead{}, time.Hour)
	}()
	require.NoError(t, e.Close())
	require.ErrorIs(t, <-resting, context.Canceled)
}

// TestRefusedMailMakesCompactionTryHarder: where everything is full, less must
// be dead for compaction to begin.
func TestRefusedMailMakesCompactionTryHarder(t *testing.T) {
	o := withLocations(t, vfs.NewMem(), Location{Path: "a", Limit: 100_000})
	o.settle = time.Millisecond
	e := openWith(t, o)
	ids := fill(t, e)
	for i, id := range ids {
		if i%8 == 0 {
			drop(t, e, id)
		}
	}
	require.Eventually(t, func() bool {
		err := tryCommit(e, octets(1000, 1), func(tx *Tx) error { tx.Ref(tx.Blob(), 1); return nil })
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	checkAccounts(t, e)
}

// TestCompactionLeavesTheReserveAlone: where little space is left, only
// segments with little in them are emptied.
func TestCompactionLeavesTheReserveAlone(t *testing.T) {
	disk := vfs.NewMem()
	o := eager(disk)
	o.NoCompaction, o.Reserve = true, 4_000
	e := openWith(t, o)
	var ids []BlobID
	for i := range 20 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	for _, id := range append(ids[:4:4], ids[10:17]...) {
		drop(t, e, id)
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 5_000})
	freed, err := e.Compact(context.Background())
	require.NoError(t, err)
	require.NotZero(t, freed, "the one with seven of ten dead")
	freed, err = e.Compact(context.Background())
	require.NoError(t, err)
	require.Zero(t, freed, "the one with six alive")
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 50_000})
	freed, err = e.Compact(context.Background())
	require.NoError(t, err)
	require.NotZero(t, freed)
}

// TestCompactionGoesOnAfterADamagedRecord: what a record no longer names stays,
// with its segment, and everything else moves.
func TestCompactionGoesOnAfterADamagedRecord(t *testing.T) {
	fs := vfs.NewMem()
	o := eager(fs)
	o.NoCompaction = true
	e := openWith(t, o)
	var ids []BlobID
	for i := range 20 {
		ids = append(ids, store(t, e, octets(1000, uint32(i))))
	}
	for _, id := range ids[3:] {
		drop(t, e, id)
	}
	require.NoError(t, e.Close())
	edit(t, fs, firstSegment, func(b []byte) []byte { b[offsetOf(ids[1])+recordHead+1] ^= 1; return b })
	e = openWith(t, o)
	_, err := e.Compact(context.Background())
	var d *Damage
	require.ErrorAs(t, err, &d)
	require.Equal(t, Damage{Segment: 1, Offset: offsetOf(ids[1]), What: "record"}, *d)
	for i, id := range ids[:3] {
		requireBody(t, e, id, octets(1000, uint32(i)))
	}
	require.EqualValues(t, 1, e.Stats().Segments[0].Bodies)
	checkAccounts(t, e)
	freed, err := e.Compact(context.Background())
	require.NoError(t, err, "it is not tried again and again")
	require.Zero(t, freed)
}

// TestLargeBodiesMove: they stand in a record of their own before the one that
// names them, and may be shared and moved more than once.
func TestLargeBodiesMove(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := eager(disk)
	o.NoCompaction, o.SegmentSize = true, 8*largeBody
	e := openWith(t, o)
	large := store(t, e, octets(2*largeBody+7, 1))
	empty := store(t, e, []byte{})
	for range 3 {
		dies := store(t, e, octets(6*largeBody, 3))
		commit(t, e, nil, func(tx *Tx) error { tx.Ref(large, 1); return nil })
		drop(t, e, dies)
		commit(t, e, nil, setKey("roll", ""))
		for {
			freed, err := e.Compact(context.Background())
			require.NoError(t, err)
			if freed == 0 {
				break
			}
		}
		requireBody(t, e, large, octets(2*largeBody+7, 1))
		requireBody(t, e, empty, []byte{})
		checkAccounts(t, e)
		o.FS = disk.CrashClone(vfs.CrashCloneCfg{})
		crashed := openWith(t, o)
		requireBody(t, crashed, large, octets(2*largeBody+7, 1))
		checkAccounts(t, crashed)
	}
	require.GreaterOrEqual(t, e.Stats().Moved, uint64(2*2*largeBody), "more than once")
}
