package local

import (
	"fmt"
	"log/slog"
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

// TestPowerCutKeepsWhatWasAcknowledged cuts the power at random steps of the
// disk, or kills the process, while several users' mail is delivered, flagged,
// moved, expunged and restored, in one location or several, with compaction,
// checkpoints and backups, and sometimes with an index that is made again from
// the log. With whatever is left it requires that every change that was
// acknowledged is there, and of the others each is there whole or not at all.
// POSTHOUSE_CUTS sets how many cuts there are.
func TestPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	cuts := int64(fromEnv(t, "POSTHOUSE_CUTS", 0))
	deadline := time.Now().Add(4 * time.Second)
	seed := fromEnv(t, "POSTHOUSE_SEED", int(time.Now().UnixNano()&0xffffffff))
	t.Logf("POSTHOUSE_SEED=%d", seed)
	var begun, done atomic.Int64
	t.Cleanup(func() { t.Logf("%d power cuts and kills", done.Load()) })
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for cuts > 0 && done.Load() < cuts || cuts == 0 && time.Now().Before(deadline) {
				seed := uint64(seed) + uint64(begun.Add(1)-1)
				done.Add(int64(liveWithCuts(t, seed, 8)))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// lifeUser names users of which every other one retains what is expunged.
func lifeUser(i int) string {
	return fmt.Sprintf("user%d", i) + []string{retains, ""}[i%2]
}

// household is some lives in one store that come to many ends.
type household struct {
	rng   *rand.Rand
	disk  *enginetest.Disk
	users []*member

	mu      sync.Mutex
	stop    chan struct{}    // closed at an end, when the rest is set
	left    *enginetest.Disk // what is there then
	copying bool             // a backup was begun
	copied  bool             // and made
}

// member is one life, as it was when the store was opened, and how far it has
// come since.
type member struct {
	*life
	acked, begun atomic.Int64
	atEnd        [2]int // acked and begun, at the end
	atBackup     int    // acked, when the backup was begun
	before       *life  // life, when that was
	last         *life  // the one before life
}

func liveWithCuts(t *testing.T, seed uint64, cuts int) int {
	rng := rand.New(rand.NewPCG(seed, 9))
	h := &household{rng: rng, disk: enginetest.NewDisk(), users: make([]*member, 1+rng.IntN(4))}
	for i := range h.users {
		h.users[i] = &member{life: newLife(lifeUser(i), seed+uint64(i)<<32)}
	}
	locations, from := h.someLocations(t), rng.IntN(3)
	for cut := range cuts {
		h.checkBackup(t)
		h.prepareEnd(rand.New(rand.NewPCG(seed, uint64(100+cut))))
		o := quiet(h.disk)
		o.SegmentSize = 4<<10 + rng.Int64N(200<<10)
		o.Rows, o.States = 1+rng.IntN(200), 2+rng.IntN(10)
		o.Rebuild = rng.IntN(4) == 0
		if cut >= from {
			o.Locations = locations
		}
		s, err := Open("store", o)
		require.NoError(t, err, "cut %d", cut)
		for _, m := range h.users {
			m.last = m.life
			m.life = m.between(t, s, int(m.acked.Load()), int(m.begun.Load()))
			m.acked.Store(int64(m.steps))
			m.begun.Store(int64(m.steps))
		}
		sound(t, s)
		h.liveUntilEnd(t, s)
	}
	return cuts
}

// someLocations are two small locations and one without a limit, or none.
func (h *household) someLocations(t *testing.T) []Location {
	if h.rng.IntN(3) == 0 {
		return nil
	}
	list := []Location{{Path: "a", Limit: 1 + h.rng.Int64N(300<<10)}, {Path: "b", Limit: 1 + h.rng.Int64N(300<<10)}, {Path: "c"}}
	for _, l := range list {
		require.NoError(t, h.disk.MkdirAll(l.Path, 0o700))
	}
	h.syncRoot(t)
	return list
}

func (h *household) syncRoot(t *testing.T) {
	root, err := h.disk.OpenDir("/")
	require.NoError(t, err)
	require.NoError(t, root.Sync())
}

// prepareEnd lets the end come at some step of the disk from now on.
func (h *household) prepareEnd(rng *rand.Rand) {
	h.stop, h.copying, h.copied = make(chan struct{}), false, false
	h.disk.Ahead(1+rng.Int64N(150), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, m := range h.users {
			m.atEnd[0] = int(m.acked.Load())
		}
		h.left = h.disk.Crash(rng)
		for _, m := range h.users {
			m.atEnd[1] = int(m.begun.Load())
		}
		close(h.stop)
	})
}

func (h *household) ended() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}

// liveUntilEnd lets lives go on until the end, and what is left then is the
// disk.
func (h *household) liveUntilEnd(t *testing.T, s *Store) {
	var g sync.WaitGroup
	backup := -1
	if h.rng.IntN(3) == 0 {
		backup = h.rng.IntN(10)
	}
	for i, m := range h.users {
		g.Go(func() {
			l := m.clone()
			for n := 0; !h.ended(); n++ {
				if i == 0 && n == backup {
					h.backup(t, s)
				}
				m.begun.Add(1)
				if err := l.step(t.Context(), s); err != nil {
					t.Errorf("%s: %v", l.user, err)
					return
				}
				m.acked.Add(1)
				if n%20 == 19 {
					if _, err := s.Engine().Compact(t.Context()); err != nil {
						t.Errorf("compact: %v", err)
					}
				}
			}
		})
	}
	g.Wait()
	require.NoError(t, s.Close())
	require.True(t, h.ended(), "the lives ended before")
	for _, m := range h.users {
		m.acked.Store(int64(m.atEnd[0]))
		m.begun.Store(int64(m.atEnd[1]))
		if m.atEnd[0] < m.steps { // the end came before what was found was durable
			m.life = m.last
		}
	}
	h.disk = h.left
}

func (h *household) backup(t *testing.T, s *Store) {
	h.mu.Lock()
	for _, m := range h.users {
		m.atBackup, m.before = int(m.acked.Load()), m.clone()
	}
	h.copying = !h.ended()
	h.mu.Unlock()
	err := s.Backup(t.Context(), "backup", func(int64, int64) {})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.copied = h.copying && !h.ended()
	if err != nil {
		t.Errorf("backup: %v", err)
	}
}

// checkBackup requires what a backup should hold that was made before an end,
// or begun, and removes it.
func (h *household) checkBackup(t *testing.T) {
	if !h.copying {
		return
	}
	_, err := h.disk.Stat("backup")
	if h.copied {
		require.NoError(t, err, "the backup is lost")
	}
	if err == nil {
		s, err := Open("backup", quiet(h.disk))
		require.NoError(t, err, "backup")
		for _, m := range h.users {
			m.before.between(t, s, m.atBackup, m.atEnd[1])
		}
		sound(t, s)
		require.NoError(t, s.Close())
	}
	require.NoError(t, h.disk.RemoveAll("backup"))
	h.syncRoot(t)
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
