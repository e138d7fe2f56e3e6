package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
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
func someLocations(t testing.TB, disk vfs.FS, rng *rand.Rand) []Location {
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
// and everything else whole or not at all, as in each backup that was made
// meanwhile. Each life goes on where the last one ended. POSTHOUSE_CUTS sets
// how many cuts there are.
func TestPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	cuts := int64(fromEnv(t, "POSTHOUSE_CUTS", 0))
	deadline := time.Now().Add(4 * time.Second)
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
			for cuts > 0 && done.Load() < cuts || cuts == 0 && time.Now().Before(deadline) {
				done.Add(int64(liveAndDie(t, seed+uint64(lives.Add(1)-1), 12)))
			}
		})
	}
}

func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// liveAndDie runs one engine through some power cuts and kills.
func liveAndDie(t *testing.T, seed uint64, cuts int) int {
	rng := rngOf(seed)
	disk := enginetest.NewDisk()
	users := make([]*user, 1+rng.IntN(8))
	for i := range users {
		users[i] = newUser(i, seed)
	}
	locations, from := someLocations(t, disk, rng), rng.IntN(3)
	var last *death
	for cut := range cuts {
		last.checkBackup(t, seed, disk)
		d := newDeath(disk, rng, users, rng.IntN(ways), 1+rng.Int64N(250))
		o := small(disk, rng)
		if cut >= from {
			o.Locations = locations
		}
		e, err := Open("e", o)
		require.NoError(t, err, "seed %d, after %d cuts", seed, cut)
		for i, u := range users {
			d.replace(i, u.check(t, e, seed, u.acked.Load(), u.started.Load()))
		}
		checkAccounts(t, e)
		if rng.IntN(3) == 0 {
			d.backup(t, e, 1+rng.Int64N(20))
		}
		disk, last = d.await(t, e), d
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
			disk := enginetest.NewDisk()
			for _, end := range []struct {
				step int64
				way  int
			}{{step, way}, {70 + step%20, powerCut}, {2, powerCut}} {
				d := newDeath(disk, rng, users, end.way, end.step)
				o := quiet(disk)
				o.SegmentSize, o.memTable = 6<<10, 16<<10
				e, err := Open("e", o)
				require.NoError(t, err, "step %d, way %d", step, way)
				for i, u := range users {
					d.replace(i, u.check(t, e, model, u.acked.Load(), u.started.Load()))
				}
				checkAccounts(t, e)
				disk = d.await(t, e)
			}
		}
	}
}

// TestOpenAfterDeathDuringOpen cuts the power ahead of every step that opening
// and closing take, where any of the names and octets that were not synced may
// be missing.
func TestOpenAfterDeathDuringOpen(t *testing.T) {
	once := enginetest.NewDisk()
	e := openAt(t, once, "e")
	commit(t, e, nil, setKey("k", "v"))
	require.NoError(t, e.Close())
	for step := int64(1); step <= 70; step += 1 + step/20 {
		for seed := range uint64(10) {
			disk := once.Cut(0, nil)
			if seed%2 == 0 {
				disk = enginetest.NewDisk()
			}
			left := disk
			disk.Ahead(step, func() { left = disk.Cut(50, rngOf(seed)) })
			e := openAt(t, disk, "e")
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
	halfCut         // some of what was not synced is there
	kill            // everything written is there, and still not synced
	ways
)

// death ends an engine's life at a step of its file system.
type death struct {
	disk  *enginetest.Disk
	rng   *rand.Rand
	way   int
	once  sync.Once
	mu    sync.Mutex
	users []*user

	done           chan struct{}    // closed when the rest is set
	left           *enginetest.Disk // what is there then
	acked, started []int64
	copied         backedUpUsers
}

// backedUpUsers is a backup that was begun, by what users knew.
type backedUpUsers struct {
	begun, made bool
	acked       []int64 // changes before it began
}

// newDeath is an end to come at so many steps of a disk from now on.
func newDeath(disk *enginetest.Disk, rng *rand.Rand, users []*user, way int, steps int64) *death {
	d := &death{disk: disk, rng: rngOf(rng.Uint64()), done: make(chan struct{}), users: users, way: way}
	disk.Ahead(steps, d.end)
	return d
}

// replace puts another user, who goes on from what was found, in one's place.
func (d *death) replace(i int, u *user) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[i] = u
}

func (d *death) end() { d.once.Do(d.die) }

// die notes what is there. What the engine does afterwards happens on a disk
// that nobody will see again.
func (d *death) die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.users {
		d.acked = append(d.acked, u.acked.Load())
	}
	switch d.way {
	case kill:
		d.left = d.disk.Copy()
	case powerCut:
		d.left = d.disk.Cut(0, nil)
	case halfCut:
		d.left = d.disk.Cut([]int{5, 50, 95, 100}[d.rng.IntN(4)], d.rng)
	}
	for _, u := range d.users {
		d.started = append(d.started, u.started.Load())
	}
	close(d.done)
}

// await lets users work until the end and returns the disk.
func (d *death) await(t *testing.T, e *Engine) *enginetest.Disk {
	var wg sync.WaitGroup
	for _, u := range d.users {
		wg.Go(func() {
			err := u.work(e)
			select {
			case <-d.done:
			default:
				t.Errorf("before the end: %v", err)
				d.end()
			}
		})
	}
	<-d.done
	e.halt()
	wg.Wait()
	if err := e.shut(); err != nil {
		t.Errorf("after the end: %v", err)
	}
	for i, u := range d.users {
		u.acked.Store(d.acked[i])
		u.started.Store(d.started[i])
	}
	return d.left
}

// backup lets the first user make a backup after so many changes.
func (d *death) backup(t *testing.T, e *Engine, changes int64) {
	d.users[0].onAck = func() {
		if changes--; changes != 0 {
			return
		}
		d.mu.Lock()
		if d.left == nil {
			d.copied.begun = true
			for _, u := range d.users {
				d.copied.acked = append(d.copied.acked, u.acked.Load())
			}
		}
		d.mu.Unlock()
		err := e.Backup(context.Background(), "backup", func(int64, int64) {})
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.left != nil {
			return
		}
		d.copied.made = true
		if err != nil {
			t.Errorf("backup: %v", err)
		}
	}
}

// checkBackup requires what a backup should hold that was made before an end,
// or begun, and removes it.
func (d *death) checkBackup(t *testing.T, seed uint64, disk *enginetest.Disk) {
	if d == nil || !d.copied.begun {
		return
	}
	_, err := disk.Stat("backup")
	if d.copied.made {
		require.NoError(t, err, "seed %d: the backup is lost", seed)
	}
	if err == nil {
		e, err := Open("backup", quiet(disk))
		require.NoError(t, err, "seed %d: backup", seed)
		for i, u := range d.users {
			u.check(t, e, seed, d.copied.acked[i], d.started[i])
		}
		checkAccounts(t, e)
		require.NoError(t, e.Close())
	}
	require.NoError(t, disk.RemoveAll("backup"))
	require.NoError(t, syncDir(disk, "/"))
}
