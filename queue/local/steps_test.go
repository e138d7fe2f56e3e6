package local

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// TestEveryFailingStepIsATemporaryErrorAndLosesNothing lets the disk refuse one
// step after the other, for once or from there on. A full disk is a full queue,
// any other failure one of the queue itself, and neither is the message's
// fault; reading goes on, and what was acknowledged is there when the queue is
// opened again. POSTHOUSE_CUTS makes it try every step.
func TestEveryFailingStepIsATemporaryErrorAndLosesNothing(t *testing.T) {
	stride := int64(20)
	if times(t, "POSTHOUSE_CUTS", 0) > 0 {
		stride = 1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for name, count := range map[string]int64{"once": 1, "from there on": math.MaxInt64} {
			t.Run(cause.Error()+" "+name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(count)))
				for step := int64(1); ; step += 1 + rng.Int64N(stride) {
					f := &failingDisk{cause: cause, step: step, count: count, disk: enginetest.NewDisk(), ledger: newLedger()}
					f.run(t, rand.New(rand.NewPCG(seed, uint64(step))))
					if t.Failed() {
						t.Fatalf("step %d", step)
					}
					if f.passed() < step {
						break
					}
				}
			})
		}
	}
}

// failingDisk is a queue on a disk that fails at some step.
type failingDisk struct {
	cause       error
	step, count int64

	disk   *enginetest.Disk
	ledger *ledger
	passed func() int64
}

func (f *failingDisk) options(disk *enginetest.Disk) engine.Options {
	return engine.Options{
		FS: disk, SegmentSize: 4 << 10, Reserve: -1, Logger: quietLog,
		Locations: []engine.Location{{Path: "a", Limit: 20 << 10}, {Path: "b"}},
	}
}

func (f *failingDisk) run(t *testing.T, rng *rand.Rand) {
	for _, l := range f.options(nil).Locations {
		require.NoError(t, f.disk.MkdirAll(l.Path, 0o700))
	}
	syncRoot(t, f.disk)
	e, q := f.open(t, f.disk)
	for range 10 {
		require.NoError(t, f.ledger.put(q, rng))
	}
	require.NoError(t, q.Close())
	require.NoError(t, e.Close())

	f.passed = f.disk.Fail(f.step, f.count, f.cause)
	o := f.options(f.disk)
	o.Rebuild = f.step%2 == 0
	e, err := engine.Open("data", o)
	if err == nil {
		q, err = open(e, Options{})
		require.NoError(t, err, "opening the queue changes nothing")
		f.work(t, e, q, rng)
		require.NoError(t, q.Close())
		_ = e.Close() // it says that the index could not be written, perhaps
	} else {
		require.ErrorIs(t, err, f.cause)
	}
	for _, left := range []*enginetest.Disk{f.disk.Copy(), f.disk.Cut(0, nil)} {
		e, q := f.open(t, left)
		l := audit(t, q, f.ledger, f.ledger)
		exhaust(t, q)
		require.NoError(t, l.put(q, rng))
		require.NoError(t, q.Close())
		require.NoError(t, e.Close())
	}
}

func (f *failingDisk) open(t *testing.T, disk *enginetest.Disk) (*engine.Engine, *Queue) {
	e, err := engine.Open("data", f.options(disk))
	require.NoError(t, err)
	q, err := open(e, Options{})
	require.NoError(t, err)
	return e, q
}

// work puts and settles, whatever the disk says to it.
func (f *failingDisk) work(t *testing.T, e *engine.Engine, q *Queue, rng *rand.Rand) {
	refused := 0
	for n := 0; n < 30 && refused < 3; n++ {
		var err error
		switch {
		case n%15 == 14:
			_, err = e.Compact(testContext)
		case n%3 == 2:
			err = f.ledger.work(q, rng)
		default:
			err = f.ledger.put(q, rng)
		}
		if err == nil {
			continue
		}
		refused++
		if !errors.Is(err, queue.ErrFull) { // the one location failed, and the other one is full
			require.ErrorIs(t, err, f.cause)
		}
		if n%15 != 14 && errors.Is(f.cause, syscall.ENOSPC) {
			require.ErrorIs(t, err, queue.ErrFull)
		}
		for _, other := range []error{queue.ErrLeaseLost, queue.ErrNotQueued, queue.ErrBadMessage, queue.ErrClosed} {
			require.NotErrorIs(t, err, other)
		}
	}
	claims, err := q.Claim(testContext, 1000, time.Hour)
	require.NoError(t, err)
	for _, c := range claims {
		body, err := io.ReadAll(message.NewReader(c.Body))
		require.NoError(t, err)
		require.Equal(t, "Received: here\r\n"+contentOf(c.Session), string(body))
	}
}
