package local

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// A power cut forgets what was not synced. What was acknowledged is there after
// it, whole; what was under way is there whole or not at all.
func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for cut := range times(t, "POSTHOUSE_CUTS", 100) {
		fs := vfs.NewCrashableMem()
		before, after := newLedger(), newLedger()
		for range 1 + r.IntN(3) {
			fs, before, after = powerCut(t, fs, before, after, r)
			if t.Failed() {
				t.Fatalf("cut %d", cut)
			}
		}
	}
}

func powerCut(t *testing.T, fs *vfs.MemFS, before, after *ledger, r *rand.Rand) (*vfs.MemFS, *ledger, *ledger) {
	e, err := engine.Open("data", engine.Options{FS: fs, SegmentSize: 64 << 10, Reserve: -1, Logger: quietLog})
	require.NoError(t, err)
	q, err := open(e, Options{})
	require.NoError(t, err)
	l := audit(t, q, before, after)
	exhaust(t, q)

	stop := make(chan struct{})
	var wait sync.WaitGroup
	for w := range 6 {
		rw := rand.New(rand.NewPCG(r.Uint64(), uint64(w)))
		wait.Go(func() {
			for !stopped(stop) {
				var err error
				if w < 3 {
					err = l.put(q, rw)
				} else {
					err = l.work(q, rw)
				}
				if err != nil {
					t.Errorf("before the cut: %v", err)
					return
				}
			}
		})
	}
	time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) // the moment of the cut
	before = l.copy()
	clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: rand.New(rand.NewPCG(r.Uint64(), 1))})
	after = l.copy()
	close(stop)
	wait.Wait()
	require.NoError(t, q.Close())
	require.NoError(t, e.Close())
	return clone, before, after
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
