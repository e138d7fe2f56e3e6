package engine

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// fromEnv is the number in an environment variable, or another.
func fromEnv(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, name)
	return n
}

// small are options that make segments roll and the index flush all the time,
// and sometimes have the index made again from the log.
func small(fs vfs.FS, rng *rand.Rand) Options {
	o := quiet(fs)
	o.Rebuild = rng.IntN(4) == 0
	o.SegmentSize = 4<<10 + rng.Int64N(100<<10)
	o.memTable = 16<<10 + rng.Uint64N(200<<10)
	o.settle = time.Duration(1 + rng.IntN(20)*rng.IntN(20)*int(time.Millisecond)/4)
	return o
}

// someLocations are two small locations and one without a limit on disk, or
// none.
func someLocations(t testing.TB, disk *vfs.MemFS, rng *rand.Rand) []Location {
	if rng.IntN(3) == 0 {
		return nil
	}
	list := []Location{{Path: "a", Limit: 1 + rng.Int64N(300<<10)}, {Path: "b", Limit: 1 + rng.Int64N(300<<10)}, {Path: "c"}}
	for _, l := range list {
		require.NoError(t, disk.MkdirAll(l.Path, 0o700))
	}
	require.NoError(t, syncDir(disk, "/"))
	return list
}

// TestPowerCutKeepsWhatWasAcknowledged cuts the power at random moments of a
// load of concurrent changes, with none, some or all of what was not synced
// yet on the disk, and requires that everything acknowledged is there whole
// and everything else whole or not at all. Each life goes on where the last
// one ended. POSTHOUSE_CUTS sets how many cuts there are.
func TestPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	cuts := fromEnv(t, "POSTHOUSE_CUTS", 0)
	deadline := time.Now().Add(4 * time.Second)
	seed := rand.Uint64()
	if s := os.Getenv("POSTHOUSE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POSTHOUSE_SEED=%d", seed)
	done := 0
	for life := seed; cuts > 0 && done < cuts || cuts == 0 && time.Now().Before(deadline); life++ {
		done += liveAndDie(t, life, 12)
	}
	t.Logf("%d cuts", done)
}

func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// liveAndDie runs one engine through some power cuts and kills.
func liveAndDie(t *testing.T, seed uint64, cuts int) int {
	rng := rngOf(seed)
	disk := vfs.NewCrashableMem()
	users := make([]*user, 1+rng.IntN(16))
	for i := range users {
		users[i] = newUser(i, seed)
	}
	locations, from := someLocations(t, disk, rng), rng.IntN(3)
	for cut := range cuts {
		d := &death{t: t, disk: disk, rng: rng, done: make(chan struct{}), users: users, way: rng.IntN(ways)}
		d.steps.f = d.die
		d.steps.left.Store(1 + rng.Int64N(400))
		o := small(d.fs(), rng)
		if cut >= from {
			o.Locations = locations
		}
		e, err := Open("e", o)
		require.NoError(t, err, "seed %d, after %d cuts", seed, cut)
		for i, u := range users {
			d.replace(i, u.check(t, e, seed, u.acked.Load(), u.started.Load()))
		}
		checkAccounts(t, e)
		disk = d.await(e)
		if t.Failed() {
			t.Fatalf("seed %d, cut %d", seed, cut)
		}
	}
	return cuts
}

// TestDeathAtEveryStep ends a small load ahead of each of its first steps on
// the disk in turn, in every way when POSTHOUSE_CUTS is set, and cuts the power
// twice more later.
func TestDeathAtEveryStep(t *testing.T) {
	all := fromEnv(t, "POSTHOUSE_CUTS", 0) > 0
	const model = 26 // a seed whose bodies have some 4,000 octets, so that segments roll all the time
	one := rand.Int64N(ways)
	for step := int64(1); step <= 150; step++ {
		for way := range ways {
			if !all && step > 20 && int64(way) != (step+one)%ways {
				continue
			}
			seed := uint64(step)*10 + uint64(way)
			rng := rngOf(seed)
			users := []*user{newUser(0, model), newUser(1, model), newUser(2, model)}
			disk := vfs.NewCrashableMem()
			for _, end := range []struct {
				step int64
				way  int
			}{{step, way}, {70 + step%20, powerCut}, {2, powerCut}} {
				d := &death{t: t, disk: disk, rng: rng, done: make(chan struct{}), users: users, way: end.way}
				d.steps.f = d.die
				d.steps.left.Store(end.step)
				o := quiet(d.fs())
				o.SegmentSize, o.memTable = 6<<10, 16<<10
				e, err := Open("e", o)
				require.NoError(t, err, "step %d, way %d", step, way)
				for i, u := range users {
					d.replace(i, u.check(t, e, model, u.acked.Load(), u.started.Load()))
				}
				checkAccounts(t, e)
				disk = d.await(e)
			}
		}
	}
}

// TestOpenAfterDeathDuringOpen cuts the power ahead of every step that opening
// and closing take, where any of the names and blocks that were not synced may
// be missing.
func TestOpenAfterDeathDuringOpen(t *testing.T) {
	once := vfs.NewCrashableMem()
	e := openAt(t, once, "e")
	commit(t, e, nil, setKey("k", "v"))
	require.NoError(t, e.Close())
	for step := int64(1); step <= 70; step += 1 + step/20 {
		for seed := range uint64(10) {
			left := once.CrashClone(vfs.CrashCloneCfg{})
			if seed%2 == 0 {
				left = vfs.NewCrashableMem()
			}
			var steps after
			disk := left
			steps.left.Store(step)
			steps.f = func() {
				left = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rngOf(seed)})
			}
			e := openAt(t, &hookFS{FS: disk, before: func(op) error { steps.step(); return nil }}, "e")
			require.NoError(t, e.Close())
			e, err := Open("e", quiet(left))
			require.NoError(t, err, "step %d, seed %d", step, seed)
			if seed%2 == 1 {
				requireKey(t, e, "k", "v")
			}
			require.NoError(t, e.Close())
		}
	}
}

// Ways to die.
const (
	powerCut = iota // nothing that was not synced is there
	halfCut         // each block that was not synced is there or not
	kill            // everything written is there, and still not synced
	ways
)

// death ends an engine's life at a step of its file system.
type death struct {
	t     *testing.T
	disk  *vfs.MemFS
	hook  *hookFS
	rng   *rand.Rand
	steps after
	way   int
	mu    sync.Mutex
	users []*user

	done           chan struct{} // closed when the rest is set
	left           *vfs.MemFS    // what is on the disk then
	acked, started []int64
}

func (d *death) fs() vfs.FS {
	d.hook = &hookFS{FS: d.disk, before: func(op) error { d.steps.step(); return nil }}
	return d.hook
}

// replace puts another user, who goes on from what was found, in one's place.
func (d *death) replace(i int, u *user) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[i] = u
}

// die notes what is there. What the engine does afterwards happens on a disk
// that nobody will see again.
func (d *death) die() {
	d.hook.mu.Lock()
	defer d.hook.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.users {
		d.acked = append(d.acked, u.acked.Load())
	}
	switch d.way {
	case kill:
		d.left = killed(d.t, d.hook, d.disk)
	case powerCut:
		d.left = d.disk.CrashClone(vfs.CrashCloneCfg{})
	case halfCut:
		d.left = d.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: []int{5, 50, 95, 100}[d.rng.IntN(4)],
			RNG:                 d.rng,
		})
	}
	for _, u := range d.users {
		d.started = append(d.started, u.started.Load())
	}
	close(d.done)
}

// await lets users work until the end and returns the disk.
func (d *death) await(e *Engine) *vfs.MemFS {
	var wg sync.WaitGroup
	for _, u := range d.users {
		wg.Go(func() { u.work(e) })
	}
	<-d.done
	e.Close()
	wg.Wait()
	for i, u := range d.users {
		u.acked.Store(d.acked[i])
		u.started.Store(d.started[i])
	}
	return d.left
}
