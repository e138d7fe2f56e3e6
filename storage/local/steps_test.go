package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/storage"
)

// TestEveryFailingStepIsATemporaryErrorAndLosesNothing lets the disk refuse one
// step after the other, for once or from there on, in a store with locations
// that rolls, compacts, makes checkpoints and backups, and is opened with an
// index that is made again. Who asked for something is told of it with a
// temporary error, reading goes on, and what was acknowledged is there when the
// store is opened again. POSTHOUSE_CUTS makes it try every step.
func TestEveryFailingStepIsATemporaryErrorAndLosesNothing(t *testing.T) {
	stride := int64(20)
	if fromEnv(t, "POSTHOUSE_CUTS", 0) > 0 {
		stride = 1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for name, count := range map[string]int64{"once": 1, "from there on": math.MaxInt64} {
			t.Run(cause.Error()+" "+name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(count)))
				tried := 0
				for step := int64(1); ; step += 1 + rng.Int64N(stride) {
					f := &failing{cause: cause, step: step, count: count}
					f.run(t)
					if t.Failed() {
						t.Fatalf("step %d", step)
					}
					if tried++; f.passed() < step {
						break
					}
				}
				t.Logf("%d steps", tried)
			})
		}
	}
}

// failing is a life on a disk that fails at some step.
type failing struct {
	cause       error
	step, count int64

	*life
	disk   *enginetest.Disk
	passed func() int64
}

func (f *failing) options() Options {
	o := quiet(f.disk)
	o.SegmentSize = 6 << 10
	o.Locations = []Location{{Path: "a", Limit: 40 << 10}, {Path: "b"}}
	return o
}

func (f *failing) run(t *testing.T) {
	f.disk, f.life = enginetest.NewDisk(), newLife("alice"+retains, 5)
	for _, l := range f.options().Locations {
		require.NoError(t, f.disk.MkdirAll(l.Path, 0o700))
	}
	root, err := f.disk.OpenDir("/")
	require.NoError(t, err)
	require.NoError(t, root.Sync())
	s, err := Open("store", f.options())
	require.NoError(t, err)
	for range 15 {
		require.NoError(t, f.life.step(t.Context(), s))
	}
	require.NoError(t, s.Close())

	f.passed = f.disk.Fail(f.step, f.count, f.cause)
	o := f.options()
	o.Rebuild = f.step%2 == 0
	if s, err = Open("store", o); err != nil {
		require.ErrorIs(t, err, f.cause)
	} else {
		f.live(t, s)
		_ = s.Close() // it says that the index could not be written, perhaps
	}
	for _, left := range []*enginetest.Disk{f.disk.Copy(), f.disk.Cut(0, nil)} {
		o := f.options()
		o.FS = left
		s, err := Open("store", o)
		require.NoError(t, err)
		now := f.between(t, s, f.steps, f.steps+1)
		sound(t, s)
		require.NoError(t, now.step(t.Context(), s))
		require.NoError(t, s.Close())
	}
}

// live makes steps until one is refused again and again.
func (f *failing) live(t *testing.T, s *Store) {
	for n := range 25 {
		next, err := f.try(t, s)
		for tries := 0; err != nil && tries < 2; tries++ {
			next, err = f.try(t, s)
		}
		if err != nil {
			break
		}
		f.life = next
		switch n % 12 {
		case 5:
			_, err = s.Engine().Compact(t.Context())
		case 11:
			err = f.backup(t, s, fmt.Sprint("backup", n))
		}
		if err != nil {
			require.ErrorIs(t, err, f.cause)
		}
	}
	f.reads(t, s)
	err := s.Check(t.Context(), func(d Damage) { t.Error(d) })
	if err != nil { // it could not go on
		require.ErrorIs(t, err, f.cause)
	}
}

// try makes a step, which may be refused for now.
func (f *failing) try(t *testing.T, s *Store) (*life, error) {
	next := f.clone()
	err := next.step(t.Context(), s)
	if err == nil {
		return next, nil
	}
	if !errors.Is(err, engine.ErrNoSpace) { // the one location failed, and the other one is full
		require.ErrorIs(t, err, f.cause)
	}
	for _, permanent := range []error{
		storage.ErrNoMailbox, storage.ErrMailboxExists, storage.ErrBadName, storage.ErrBadKind, storage.ErrNoMessage,
		storage.ErrOverQuota, storage.ErrResync, storage.ErrLimit, storage.ErrClosed,
	} {
		require.NotErrorIs(t, err, permanent)
	}
	return nil, err
}

// backup makes a backup, of which nothing is left when it fails.
func (f *failing) backup(t *testing.T, s *Store, dir string) error {
	err := s.Backup(t.Context(), dir, func(int64, int64) {})
	if err != nil && f.count == 1 {
		for _, name := range []string{dir, dir + ".tmp"} {
			_, failure := f.disk.Stat(name)
			require.Error(t, failure, "%s is left, after %v", name, err)
		}
	}
	return err
}

// reads requires that INBOX, which no step deletes, can be read.
func (f *failing) reads(t *testing.T, s *Store) {
	m := inbox(t, s, f.user)
	var found []lifeMail
	for msg, err := range m.Messages(context.Background(), 0) {
		require.NoError(t, err)
		found = append(found, lifeMail{uint32(msg.UID), msg.Flags, contentOf(t, m, msg.UID)})
	}
	require.Equal(t, f.boxes[0].mail, found)
}
