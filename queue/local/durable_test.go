package local

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/queue/queuetest"
)

// durableOn opens a queue on a disk whose power can be cut. After a cut some of
// what was not synced is on the disk, a percentage of it.
func durableOn(t *testing.T, disk *vfs.MemFS, now func() time.Time, unsynced func() int) queuetest.Durable {
	return queuetest.Durable{Queue: openOn(t, disk, now), Crash: func() queuetest.Durable {
		r := rand.New(rand.NewPCG(rand.Uint64(), 0))
		left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced(), RNG: r})
		return durableOn(t, left, now, unsynced)
	}}
}

func TestQueueKeepsWhatWasAcknowledgedWhenNothingElseIsOnTheDisk(t *testing.T) {
	queuetest.RunDurable(t, func(t *testing.T, now func() time.Time) queuetest.Durable {
		return durableOn(t, vfs.NewCrashableMem(), now, func() int { return 0 })
	})
}

func TestQueueKeepsWhatWasAcknowledgedWhenSomeOfTheRestIsOnTheDisk(t *testing.T) {
	queuetest.RunDurable(t, func(t *testing.T, now func() time.Time) queuetest.Durable {
		return durableOn(t, vfs.NewCrashableMem(), now, func() int { return rand.IntN(101) })
	})
}
