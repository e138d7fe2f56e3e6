package local

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

// durableOn opens a store on a disk whose power can be cut. After a cut some
// of what was not synced is on the disk, a percentage of it.
func durableOn(t *testing.T, disk *vfs.MemFS, unsynced func() int) storagetest.Durable {
	s := open(t, "store", quiet(disk))
	return storagetest.Durable{Store: s, Crash: func() storagetest.Durable {
		r := rand.New(rand.NewPCG(rand.Uint64(), 0))
		left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced(), RNG: r})
		d := durableOn(t, left, unsynced)
		sound(t, d.Store.(*Store))
		return d
	}}
}

func TestStoreKeepsWhatWasAcknowledgedWhenNothingElseIsOnTheDisk(t *testing.T) {
	storagetest.RunDurable(t, func(t *testing.T) storagetest.Durable {
		return durableOn(t, vfs.NewCrashableMem(), func() int { return 0 })
	})
}

func TestStoreKeepsWhatWasAcknowledgedWhenSomeOfTheRestIsOnTheDisk(t *testing.T) {
	storagetest.RunDurable(t, func(t *testing.T) storagetest.Durable {
		return durableOn(t, vfs.NewCrashableMem(), func() int { return rand.IntN(101) })
	})
}
