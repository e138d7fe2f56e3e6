package local

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/storage"
)

// absent requires that a store shows nothing of an account.
func absent(t testing.TB, s *Store, user string) {
	t.Helper()
	_, err := s.Find(context.Background(), user)
	require.ErrorIs(t, err, storage.ErrNoMailbox)
	users, err := s.SharedWith(context.Background(), "bob", "carol")
	require.NoError(t, err)
	require.NotContains(t, users, user)
}

// cleared waits until nothing is left that a purger has to clear away, and
// requires that the store is sound.
func cleared(t testing.TB, s *Store) {
	t.Helper()
	require.NoError(t, s.purger.clear(context.Background()))
	sound(t, s)
}

func TestP42SecondRoundCarriesOnlyWhatChanged(t *testing.T) {
	ctx := context.Background()
	from, to := inMemory(t, retaining), inMemory(t, retaining)
	richAccount(t, from, "alice")
	first := pack(t, from, "alice", PackOptions{Part: Bodies})
	got, err := to.Unpack(ctx, "alice", bytes.NewReader(first), UnpackOptions{})
	require.NoError(t, err)
	require.False(t, got.Whole)
	absent(t, to, "alice")
	sound(t, to)
	state, err := to.Arrived(ctx, "alice")
	require.NoError(t, err)
	require.Equal(t, state, got.State)

	// The user works on.
	m := boxOf(t, from, "alice", "INBOX")
	_, err = m.Expunge(ctx, imap.UIDSetNum(11, 12))
	require.NoError(t, err)
	_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(13), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("\\Answered")})
	require.NoError(t, err)
	deliver(t, from, "Subject: late\r\n\r\nlate", "alice")
	require.NoError(t, m.Rename(ctx, "came", "went"))

	require.NoError(t, from.Freeze(ctx, "alice"))
	second := pack(t, from, "alice", PackOptions{Since: state})
	require.Less(t, len(second), len(first)/10)
	got, err = to.Unpack(ctx, "alice", bytes.NewReader(second), UnpackOptions{})
	require.NoError(t, err)
	require.True(t, got.Whole)
	require.EqualValues(t, 1, got.Bodies)
	require.Equal(t, portrait(t, from, "alice"), portrait(t, to, "alice"))
	state, err = to.Arrived(ctx, "alice")
	require.NoError(t, err)
	require.Empty(t, state)
	cleared(t, to)
	left := 0
	require.NoError(t, to.e.Scan(ctx, []byte{keyArrival}, []byte{keyArrived + 1}, func(_, _ []byte) error { left++; return nil }))
	require.Zero(t, left)
}

// TestP42DamagedArchiveIsRefused cuts an archive at every frame and within some,
// turns octets of it around, and leaves out and repeats frames.
func TestP42DamagedArchiveIsRefused(t *testing.T) {
	ctx := context.Background()
	from := inMemory(t, retaining)
	richAccount(t, from, "alice")
	good := pack(t, from, "alice", PackOptions{})
	rng := rand.New(rand.NewPCG(1, 2))
	frames := framesOf(t, good)
	to := inMemory(t, retaining)
	refused := func(b []byte, what string, at int) {
		t.Helper()
		_, err := to.Unpack(ctx, "alice", bytes.NewReader(b), UnpackOptions{})
		require.ErrorIs(t, err, ErrBadArchive, "%s at %d", what, at)
		absent(t, to, "alice")
	}
	for range 60 {
		i := rng.IntN(len(frames) - 1)
		at, next := frames[i], frames[i+1]
		refused(good[:at], "cut", at)
		refused(good[:at+rng.IntN(next-at)], "cut", at)
		turned := bytes.Clone(good)
		turned[at+rng.IntN(next-at)] ^= 1 << rng.IntN(8)
		refused(turned, "turned", at)
		refused(append(bytes.Clone(good[:at]), good[next:]...), "left out", at)
		refused(append(bytes.Clone(good[:next]), good[at:]...), "repeated", at)
	}
	refused(nil, "nothing", 0)
	refused([]byte("From: not an archive\r\n"), "text", 0)
	sound(t, to)
	cleared(t, to)

	// What has arrived stays, and the whole of it comes as if nothing had been.
	reader := bytes.NewReader(append(bytes.Clone(good), "behind it"...))
	got, err := to.Unpack(ctx, "alice", reader, UnpackOptions{})
	require.NoError(t, err)
	require.True(t, got.Whole)
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, "behind it", string(rest))
	require.Equal(t, portrait(t, from, "alice"), portrait(t, to, "alice"))
	cleared(t, to)
}

// framesOf returns where the frames of an archive begin, and its end.
func framesOf(t testing.TB, archive []byte) (at []int) {
	r := bytes.NewReader(archive)
	f, err := newFrameReader(r)
	require.NoError(t, err)
	for kind := byte(0); kind != frameEnd; {
		at = append(at, len(archive)-r.Len())
		kind, _, err = f.next()
		require.NoError(t, err)
	}
	return append(at, len(archive)-r.Len())
}

func TestP42ArchiveGoesOnFromWhatIsHere(t *testing.T) {
	ctx := context.Background()
	from, other, to := inMemory(t, nil), inMemory(t, nil), inMemory(t, nil)
	richAccount(t, from, "alice")
	deliver(t, other, "x", "alice")
	ahead := pack(t, from, "alice", PackOptions{Part: Bodies})
	got, err := to.Unpack(ctx, "alice", bytes.NewReader(ahead), UnpackOptions{})
	require.NoError(t, err)
	rest := pack(t, from, "alice", PackOptions{Since: got.State})

	_, err = to.Unpack(ctx, "bob", bytes.NewReader(rest), UnpackOptions{})
	require.ErrorIs(t, err, ErrOtherArchive, "another user")
	_, err = other.Unpack(ctx, "alice", bytes.NewReader(rest), UnpackOptions{Replace: true})
	require.ErrorIs(t, err, ErrOtherArchive, "its bodies never came here")
	for _, state := range []string{got.State, "x", "-", "00-1", "0011223344556677-zz"} {
		_, err = other.Pack(ctx, "alice", io.Discard, PackOptions{Since: state})
		require.ErrorIs(t, err, ErrOtherArchive, state)
	}
	_, err = from.Pack(ctx, "nobody", io.Discard, PackOptions{})
	require.ErrorIs(t, err, storage.ErrNoMailbox)

	require.NoError(t, to.ForgetArrived(ctx, "alice"))
	require.NoError(t, to.ForgetArrived(ctx, "alice"))
	cleared(t, to)
	_, err = to.Unpack(ctx, "alice", bytes.NewReader(rest), UnpackOptions{})
	require.ErrorIs(t, err, ErrOtherArchive, "it is forgotten")
	absent(t, to, "alice")
	// What another store sent before is given up for a new beginning.
	_, err = to.Unpack(ctx, "alice", bytes.NewReader(pack(t, other, "alice", PackOptions{Part: Bodies})), UnpackOptions{})
	require.NoError(t, err)
	_, err = to.Unpack(ctx, "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	require.Equal(t, portrait(t, from, "alice"), portrait(t, to, "alice"))
	cleared(t, to)
}

func TestP42AccountThatIsThereStaysUnlessItIsToBeReplaced(t *testing.T) {
	ctx := context.Background()
	from, to := inMemory(t, nil), inMemory(t, nil)
	richAccount(t, from, "alice")
	archive := pack(t, from, "alice", PackOptions{})
	deliver(t, to, "mine", "alice")
	before := portrait(t, to, "alice")
	_, err := to.Unpack(ctx, "alice", bytes.NewReader(archive), UnpackOptions{})
	require.ErrorIs(t, err, ErrAccountExists)
	require.Equal(t, before, portrait(t, to, "alice"))
	require.NoError(t, to.Freeze(ctx, "alice"))
	_, err = to.Unpack(ctx, "alice", bytes.NewReader(archive), UnpackOptions{Replace: true})
	require.NoError(t, err)
	require.Equal(t, portrait(t, from, "alice"), portrait(t, to, "alice"))
	deliver(t, to, "it is thawed", "alice")
	cleared(t, to)

	empty := inMemory(t, nil)
	inbox(t, empty, "alice")
	_, err = empty.Unpack(ctx, "alice", bytes.NewReader(archive), UnpackOptions{})
	require.NoError(t, err, "a login has made it, and nothing is in it")
	cleared(t, empty)
}

// TestP42UserComesBack to a store that he was in before, with the names that
// everything had.
func TestP42UserComesBack(t *testing.T) {
	ctx := context.Background()
	a, b := inMemory(t, nil), inMemory(t, nil)
	richAccount(t, a, "alice")
	richAccount(t, b, "bob")
	before := portrait(t, a, "alice")
	_, err := b.Unpack(ctx, "alice", bytes.NewReader(pack(t, a, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	require.NoError(t, a.RemoveAccount(ctx, "alice"))
	cleared(t, a)
	deliver(t, a, "x", "dave")
	got, err := a.Unpack(ctx, "alice", bytes.NewReader(pack(t, b, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	require.Zero(t, got.Renamed)
	require.Equal(t, before, portrait(t, a, "alice"))
	cleared(t, a)
	cleared(t, b)
	for _, s := range []*Store{a, b} {
		require.NoError(t, s.Repair(ctx, nil, Repairs{}))
		sound(t, s)
	}
}

// TestP42MailboxesOfAnOldStoreGetNewNumbers since any other store may have
// given out the same.
func TestP42MailboxesOfAnOldStoreGetNewNumbers(t *testing.T) {
	ctx := context.Background()
	from, to := inMemory(t, nil), inMemory(t, nil)
	require.NoError(t, from.commit(ctx, nil, func(t tx) error {
		t.s.counters.mailbox = 0
		t.saveCounters()
		return nil
	}))
	richAccount(t, from, "alice")
	got, err := to.Unpack(ctx, "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	require.Equal(t, got.Mailboxes, got.Renamed)
	theirs, ours := portrait(t, from, "alice"), portrait(t, to, "alice")
	delete(theirs, "mailboxes")
	delete(ours, "mailboxes")
	require.Equal(t, theirs, ours, "everything else is the same")
}

// TestP42UIDValidityOnlyGrowsAfterAMove of the names that came, too.
func TestP42UIDValidityOnlyGrowsAfterAMove(t *testing.T) {
	ctx := context.Background()
	from, to := inMemory(t, nil), inMemory(t, nil)
	require.NoError(t, from.commit(ctx, nil, func(t tx) error { t.s.counters.validity += 100_000; t.saveCounters(); return nil }))
	richAccount(t, from, "alice")
	_, err := to.Unpack(ctx, "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	m := boxOf(t, to, "alice", "came")
	had, err := m.Status(ctx)
	require.NoError(t, err)
	require.NoError(t, m.Delete(ctx, "came"))
	require.NoError(t, m.account.Create(ctx, "came", storage.NewMailbox{}))
	has, err := boxOf(t, to, "alice", "came").Status(ctx)
	require.NoError(t, err)
	require.Greater(t, has.UIDValidity, had.UIDValidity)
}

// TestP42KilledWhileItUnpacks cuts the power at every so many steps of the disk
// of the store that unpacks. What is left has all of the account or nothing, and
// goes on to all of it.
func TestP42KilledWhileItUnpacks(t *testing.T) {
	ctx := context.Background()
	from := inMemory(t, retaining)
	richAccount(t, from, "alice")
	ahead := pack(t, from, "alice", PackOptions{Part: Bodies})
	before := portrait(t, from, "alice")
	stride := int64(4)
	if fromEnv(t, "POSTHOUSE_CUTS", 0) > 0 {
		stride = 1
	}
	rng := rand.New(rand.NewPCG(3, 4))
	goesOn, there, cuts := 0, 0, 0
	for step := int64(1); ; step += 1 + rng.Int64N(stride) {
		disk := enginetest.NewDisk()
		o := quiet(disk)
		o.NoCompaction = true
		retaining(&o)
		s, err := Open("store", o)
		require.NoError(t, err)
		deliver(t, s, "x", "bob")
		var left *enginetest.Disk
		disk.Ahead(step, func() { left = disk.Cut(50, rng) })
		got, err := s.Unpack(ctx, "alice", bytes.NewReader(ahead), UnpackOptions{})
		require.NoError(t, err)
		_, err = s.Unpack(ctx, "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{Since: got.State})), UnpackOptions{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		if left == nil {
			break
		}
		cuts++
		o.FS = left
		s = open(t, "store", o)
		sound(t, s)
		if _, err := s.Find(ctx, "alice"); err == nil {
			there++
			require.Equal(t, forgetful(before), forgetful(portrait(t, s, "alice")), "step %d", step)
		} else {
			absent(t, s, "alice")
			state, err := s.Arrived(ctx, "alice")
			require.NoError(t, err)
			if state != "" {
				goesOn++
			}
			_, err = s.Unpack(ctx, "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{Since: state})), UnpackOptions{})
			require.NoError(t, err, "step %d", step)
			require.Equal(t, before, portrait(t, s, "alice"), "step %d", step)
		}
		cleared(t, s)
	}
	t.Logf("%d cuts: in %d something had arrived, in %d the account was there", cuts, goesOn, there)
	require.NotZero(t, goesOn)
	require.NotZero(t, there)
}

// forgetful leaves out of a portrait which messages are recent: that is a hint,
// which a crash may lose.
func forgetful(portrait map[string]any) map[string]any {
	again := make(map[string]any)
	for name, of := range portrait {
		if lines, ok := of.([]string); ok && len(lines) > 0 {
			of = append([]string{regexp.MustCompile(` Recent:\d+`).ReplaceAllString(lines[0], "")}, lines[1:]...)
		}
		again[name] = of
	}
	return again
}

// TestP42PackWhileTheUserWorks makes archives of an account that is not frozen:
// each is good, or says that it could not be made.
func TestP42PackWhileTheUserWorks(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	from := inMemory(t, nil)
	richAccount(t, from, "alice")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for l := newLife("alice", 5); ctx.Err() == nil; {
			if l.step(context.Background(), from) != nil {
				return
			}
		}
	}()
	for range 5 {
		to := inMemory(t, nil)
		var b bytes.Buffer
		if _, err := from.Pack(context.Background(), "alice", &b, PackOptions{}); err != nil {
			require.ErrorIs(t, err, ErrBusy)
			continue
		}
		_, err := to.Unpack(context.Background(), "alice", &b, UnpackOptions{})
		require.NoError(t, err)
		cleared(t, to)
	}
	stop()
	<-done
}

func TestP42OnlyOneUnpacksAnAccount(t *testing.T) {
	to := inMemory(t, nil)
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		_, err := to.Unpack(context.Background(), "alice", r, UnpackOptions{})
		r.Close()
		failed <- err
	}()
	_, err := w.Write([]byte(archiveMagic))
	require.NoError(t, err)
	_, err = to.Unpack(context.Background(), "alice", bytes.NewReader(nil), UnpackOptions{})
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorIs(t, to.ForgetArrived(context.Background(), "alice"), ErrBusy)
	w.Close()
	require.ErrorIs(t, <-failed, ErrBadArchive)
}
