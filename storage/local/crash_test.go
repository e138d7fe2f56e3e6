package local

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func quiet(fs vfs.FS) Options {
	return Options{FS: fs, Logger: slog.New(slog.DiscardHandler), Settings: lifeSettings}
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, name)
	return n
}

// TestPowerCutKeepsWhatWasAcknowledged cuts the power at random moments while
// several users' mail is delivered, flagged, moved and expunged, with none or
// some of what was not synced on the disk, and requires that every change that
// was acknowledged is there, and of the others each is there whole or not at
// all. POSTHOUSE_CUTS sets how many cuts there are.
func TestPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	cuts := fromEnv(t, "POSTHOUSE_CUTS", 0)
	deadline := time.Now().Add(4 * time.Second)
	seed := uint64(fromEnv(t, "POSTHOUSE_SEED", int(time.Now().UnixNano()&0xffffffff)))
	t.Logf("POSTHOUSE_SEED=%d", seed)
	done := 0
	for ; cuts > 0 && done < cuts || cuts == 0 && time.Now().Before(deadline); seed++ {
		done += liveWithCuts(t, seed, 10)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d cuts", done)
}

// lifeUser names users of which every other one retains what is expunged.
func lifeUser(i int) string {
	return fmt.Sprintf("user%d", i) + []string{retains, ""}[i%2]
}

func liveWithCuts(t *testing.T, seed uint64, cuts int) int {
	rng := rand.New(rand.NewPCG(seed, 9))
	disk := vfs.NewCrashableMem()
	lives := make([]*life, 1+rng.IntN(6))
	for i := range lives {
		lives[i] = newLife(lifeUser(i), seed+uint64(i)<<32)
	}
	acked := make([]atomic.Int64, len(lives))
	begun := make([]atomic.Int64, len(lives))
	for range cuts {
		o := quiet(disk)
		o.SegmentSize = 64<<10 + rng.Int64N(1<<20)
		o.Rows, o.States = 1+rng.IntN(200), 2+rng.IntN(10)
		s, err := Open("store", o)
		require.NoError(t, err)
		for i := range lives {
			lives[i] = lives[i].between(t, s, int(acked[i].Load()), int(begun[i].Load()))
			acked[i].Store(int64(lives[i].steps))
			begun[i].Store(int64(lives[i].steps))
		}
		sound(t, s)
		disk = livedUntilCut(t, s, disk, lives, acked, begun, rng)
	}
	return cuts
}

// livedUntilCut lets lives go on until the power is cut, and returns the disk
// as it is then.
func livedUntilCut(t *testing.T, s *Store, disk *vfs.MemFS, lives []*life, acked, begun []atomic.Int64, rng *rand.Rand) *vfs.MemFS {
	var g sync.WaitGroup
	var steps atomic.Int64
	enough := make(chan struct{})
	until, stop := int64(rng.IntN(60)), make(chan struct{})
	for i, l := range lives {
		g.Go(func() {
			l := l.clone()
			for {
				select {
				case <-stop:
					return
				default:
				}
				begun[i].Add(1)
				if err := l.step(t.Context(), s); err != nil {
					t.Errorf("%s: %v", l.user, err)
					return
				}
				acked[i].Add(1)
				if steps.Add(1) == until+1 {
					close(enough)
				}
			}
		})
	}
	<-enough
	before := make([]int64, len(lives))
	for i := range acked {
		before[i] = acked[i].Load()
	}
	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * rng.IntN(101), RNG: rng})
	after := make([]int64, len(lives))
	for i := range begun {
		after[i] = begun[i].Load()
	}
	close(stop)
	g.Wait()
	require.NoError(t, s.Close())
	for i := range lives {
		acked[i].Store(before[i])
		begun[i].Store(after[i])
	}
	return left
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	fs := vfs.NewMem()
	l := newLife("alice"+retains, 1)
	for range 10 {
		s, err := Open("store", quiet(fs))
		require.NoError(t, err)
		l = l.between(t, s, l.steps, l.steps)
		for range 60 {
			require.NoError(t, l.step(t.Context(), s))
		}
		sound(t, s)
		require.NoError(t, s.Close())
	}
}
