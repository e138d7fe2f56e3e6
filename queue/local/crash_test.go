package local

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

// TestPowerCutLosesNothingAcknowledged cuts the power at random steps of the
// disk, or kills the process, while messages are put and settled, in one
// location or several, with compaction, checkpoints and backups, and sometimes
// with an index that is made again from the log. What was acknowledged is there
// after it, whole; what was under way is there whole or not at all.
// POSTHOUSE_CUTS sets how many cuts there are.
func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	cuts := int64(times(t, "POSTHOUSE_CUTS", 100))
	seed := rand.Uint64()
	if s := os.Getenv("POSTHOUSE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POSTHOUSE_SEED=%d", seed)
	var lives, done atomic.Int64
	t.Cleanup(func() { t.Logf("%d power cuts and kills", done.Load()) })
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for done.Load() < cuts {
				seed := seed + uint64(lives.Add(1)-1)
				done.Add(int64(workWithCuts(t, seed)))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// office is a queue that comes to some ends.
type office struct {
	rng  *rand.Rand
	disk *enginetest.Disk

	ledger        atomic.Pointer[ledger] // what the users of the queue know; nil: nobody works yet
	mu            sync.Mutex
	stop          chan struct{}    // closed at an end, when the rest is set
	left          *enginetest.Disk // what is there then
	before, after *ledger          // what they knew just before, and just after

	copying, copied bool    // a backup was begun, and made
	copiedFrom      *ledger // what they knew before
}

func workWithCuts(t *testing.T, seed uint64) (cuts int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	o := &office{rng: rng, disk: enginetest.NewDisk(), before: newLedger(), after: newLedger()}
	locations, from := someLocations(t, o.disk, rng), rng.IntN(2)
	for cut := range 1 + rng.IntN(5) {
		o.checkBackup(t)
		o.prepareEnd(rand.New(rand.NewPCG(seed, uint64(1+cut))))
		options := engine.Options{FS: o.disk, SegmentSize: 4<<10 + rng.Int64N(60<<10), Reserve: -1, Logger: quietLog, Rebuild: rng.IntN(4) == 0}
		if cut >= from {
			options.Locations = locations
		}
		e, err := engine.Open("data", options)
		require.NoError(t, err, "cut %d", cut)
		q, err := open(e, Options{})
		require.NoError(t, err)
		found := audit(t, q, o.before, o.after)
		exhaust(t, q)
		o.workUntilEnd(t, e, q, found)
		cuts++
	}
	return cuts
}

// someLocations are two small locations and one without a limit, or none.
func someLocations(t *testing.T, disk *enginetest.Disk, rng *rand.Rand) []engine.Location {
	if rng.IntN(3) == 0 {
		return nil
	}
	list := []engine.Location{{Path: "a", Limit: 1 + rng.Int64N(100<<10)}, {Path: "b", Limit: 1 + rng.Int64N(100<<10)}, {Path: "c"}}
	for _, l := range list {
		require.NoError(t, disk.MkdirAll(l.Path, 0o700))
	}
	syncRoot(t, disk)
	return list
}

func syncRoot(t *testing.T, disk *enginetest.Disk) {
	root, err := disk.OpenDir("/")
	require.NoError(t, err)
	require.NoError(t, root.Sync())
}

// prepareEnd lets the end come at some step of the disk from now on. When it
// comes before work has begun, what was known stays so.
func (o *office) prepareEnd(rng *rand.Rand) {
	o.ledger.Store(nil)
	o.stop, o.copying, o.copied = make(chan struct{}), false, false
	o.disk.Ahead(1+rng.Int64N(150), func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		l := o.ledger.Load()
		if l != nil {
			o.before = l.copy()
		}
		o.left = o.disk.Crash(rng)
		if l != nil {
			o.after = l.copy()
		}
		close(o.stop)
	})
}

// workUntilEnd lets users of the queue work until the end, and what is left
// then is the disk.
func (o *office) workUntilEnd(t *testing.T, e *engine.Engine, q *Queue, l *ledger) {
	o.ledger.Store(l)
	backup := -1
	if o.rng.IntN(3) == 0 {
		backup = o.rng.IntN(10)
	}
	var wait sync.WaitGroup
	for w := range 6 {
		rw := rand.New(rand.NewPCG(o.rng.Uint64(), uint64(w)))
		wait.Go(func() {
			for n := 0; !stopped(o.stop); n++ {
				err := o.work(q, l, rw, w < 3)
				if w == 0 && n == backup {
					o.backup(t, e, l)
				}
				if err == nil && n%20 == 19 {
					_, err = e.Compact(testContext)
				}
				if err != nil {
					t.Errorf("before the end: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
	require.NoError(t, q.Close())
	require.NoError(t, e.Close())
	require.True(t, stopped(o.stop), "the work ended before")
	o.disk = o.left
}

func (o *office) work(q *Queue, l *ledger, rw *rand.Rand, puts bool) error {
	if puts {
		return l.put(q, rw)
	}
	runtime.Gosched() // there may be nothing to claim
	return l.work(q, rw)
}

func (o *office) backup(t *testing.T, e *engine.Engine, l *ledger) {
	o.mu.Lock()
	o.copying, o.copiedFrom = !stopped(o.stop), l.copy()
	o.mu.Unlock()
	err := e.Backup(testContext, "backup", func(int64, int64) {})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.copied = o.copying && !stopped(o.stop)
	if err != nil {
		t.Errorf("backup: %v", err)
	}
}

// checkBackup requires what a backup should hold that was made before an end,
// or begun, and removes it.
func (o *office) checkBackup(t *testing.T) {
	if !o.copying {
		return
	}
	_, err := o.disk.Stat("backup")
	if o.copied {
		require.NoError(t, err, "the backup is lost")
	}
	if err == nil {
		e, err := engine.Open("backup", engine.Options{FS: o.disk, Reserve: -1, Logger: quietLog})
		require.NoError(t, err, "backup")
		q, err := open(e, Options{})
		require.NoError(t, err)
		audit(t, q, o.copiedFrom, o.after)
		exhaust(t, q)
		require.NoError(t, q.Close())
		require.NoError(t, e.Close())
	}
	require.NoError(t, o.disk.RemoveAll("backup"))
	syncRoot(t, o.disk)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
