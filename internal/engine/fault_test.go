package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// faulty is a disk that fails where fail says.
func faulty(disk vfs.FS, fail func(op) error) *hookFS {
	return &hookFS{FS: disk, before: fail}
}

// once fails the first such step on a segment after armed is set.
func once(kind string, armed *atomic.Bool, err error) func(op) error {
	return func(o op) error {
		if o.segment() && o.kind == kind && armed.CompareAndSwap(true, false) {
			return err
		}
		return nil
	}
}

// onSegments fails all such steps on segments while armed is set.
func onSegments(kind string, armed *atomic.Bool, err error) func(op) error {
	return func(o op) error {
		if armed.Load() && o.segment() && o.kind == kind {
			return err
		}
		return nil
	}
}

// TestS29FullDiskRefusesTheChangeAndNothingElse fills the disk at each kind of
// step of the log. The change is refused, nothing of it is there, and what
// came before is; when there is space again, the engine goes on.
func TestS29FullDiskRefusesTheChangeAndNothingElse(t *testing.T) {
	for _, kind := range []string{"write", "create"} {
		for _, cut := range []string{"zeros", "truncate"} {
			t.Run(kind+"/"+cut, func(t *testing.T) {
				var armed atomic.Bool
				disk := vfs.NewCrashableMem()
				fs := faulty(disk, once(kind, &armed, syscall.ENOSPC))
				fs.partly = func(_ op, n int) int { return n / 2 }
				fs.truncates = cut == "truncate"
				o := quiet(fs)
				o.SegmentSize = 4000
				e, err := Open("e", o)
				require.NoError(t, err)
				defer e.Close()
				testFullDisk(t, e, disk, kind, &armed)
			})
		}
	}
}

func testFullDisk(t *testing.T, e *Engine, disk *vfs.MemFS, kind string, armed *atomic.Bool) {
	var ids []BlobID
	for round := range uint32(10) {
		ids = append(ids, store(t, e, octets(2500, round)))
		if round%2 == 0 {
			continue // a segment is full after two
		}
		changes := make([]*Change, 3)
		for i := range changes {
			changes[i] = &Change{Body: message.FromBytes(octets(3000, 50)), Build: func(tx *Tx) error {
				tx.Set(fmt.Appendf(nil, "no/%d", i), nil)
				tx.Ref(tx.Blob(), 1)
				return nil
			}, Done: func() { t.Error("refused change is done") }}
		}
		if round%4 == 1 { // without a group that holds it, so that it begins a new segment
			armed.Store(true)
			require.ErrorIs(t, e.Commit(context.Background(), changes[0]), ErrNoSpace)
			continue
		}
		if kind == "create" {
			continue
		}
		for _, err := range holdGroup(t, e, func() { armed.Store(true) }, changes...) {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.ErrorIs(t, err, ErrNoSpace)
			require.NotErrorIs(t, err, ErrFailed)
		}
		requireNoKey(t, e, "no/0")
	}
	for _, e := range []*Engine{e, openAt(t, disk.CrashClone(vfs.CrashCloneCfg{}), "e")} {
		for i, id := range ids {
			requireBody(t, e, id, octets(2500, uint32(i)))
		}
		requireNoKey(t, e, "no/0")
		require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
	}
}

func TestFailedSyncOrWriteIsFinalAndReadsGoOn(t *testing.T) {
	for name, c := range map[string]struct {
		kind string
		err  error
	}{
		"sync fails":          {"sync", syscall.EIO},
		"sync finds no space": {"sync", syscall.ENOSPC},
		"write fails":         {"write", syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			disk := vfs.NewCrashableMem()
			e := openAt(t, faulty(disk, onSegments(c.kind, &armed, c.err)), "e")
			id := store(t, e, octets(100, 1))
			armed.Store(true)
			err := tryCommit(e, octets(100, 2), setKey("no", ""))
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, c.err)
			armed.Store(false)
			err = tryCommit(e, nil, setKey("no", ""))
			require.ErrorIs(t, err, ErrFailed, "a later sync that succeeds says nothing about the earlier one")
			require.ErrorIs(t, err, c.err)
			requireBody(t, e, id, octets(100, 1))
			requireNoKey(t, e, "no")
			require.NoError(t, e.Close())
			e = openAt(t, disk.CrashClone(vfs.CrashCloneCfg{}), "e")
			requireBody(t, e, id, octets(100, 1))
			requireNoKey(t, e, "no")
		})
	}
}

// TestFailureToCutAfterFullDiskIsFinal: when what a refused group left can't be
// taken back, nothing may be written after it.
func TestFailureToCutAfterFullDiskIsFinal(t *testing.T) {
	var armed, broken atomic.Bool
	fs := faulty(vfs.NewMem(), func(o op) error {
		switch {
		case armed.Load() && o.segment() && o.kind == "write":
			return syscall.ENOSPC
		case broken.Load() && o.kind == "truncate":
			return syscall.EIO
		}
		return nil
	})
	fs.truncates = true
	fs.partly = func(_ op, n int) int { return n / 2 }
	e := openAt(t, fs, "e")
	armed.Store(true)
	broken.Store(true)
	err := tryCommit(e, octets(1000, 1), setKey("a", ""))
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorIs(t, err, syscall.EIO)
	armed.Store(false)
	require.ErrorIs(t, tryCommit(e, nil, setKey("a", "")), ErrFailed)
}

// TestEveryStepFailingOnce lets each step of the disk fail once, with either
// error, during a small load. Whatever happens, what was acknowledged is there
// after the next start, and the engine never hangs.
func TestEveryStepFailingOnce(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for step := int64(1); step <= 180; step += 1 + rand.Int64N(3) {
			locations := []Location{{Path: "a", Limit: 20 << 10}, {Path: "b"}}
			failOnce(t, step, cause, locations[:2*rand.IntN(2)])
		}
	}
}

func failOnce(t *testing.T, step int64, cause error, locations []Location) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	for _, l := range locations {
		require.NoError(t, disk.MkdirAll(l.Path, 0o700))
	}
	require.NoError(t, syncDir(disk, "/"))
	var n atomic.Int64
	var running atomic.Bool
	died := make(chan struct{})
	fs := faulty(disk, func(o op) error {
		select {
		case <-died:
			select {} // nothing goes on in a process that has ended
		default:
		}
		if running.Load() && o.kind == "syncdir" && strings.HasSuffix(o.name, "index") {
			return nil // the index's library panics then: the process ends
		}
		if n.Add(1) == step {
			return fmt.Errorf("%s %s: %w", o.kind, o.name, cause)
		}
		return nil
	})
	fs.partly = func(_ op, n int) int { return n / 3 }
	o := quiet(fs)
	o.SegmentSize, o.memTable, o.Locations, o.settle = 6<<10, 16<<10, locations, 1
	var once sync.Once
	var after *vfs.MemFS
	var acked, started int64
	u := newUser(0, 26)
	o.fatal = func(string) {
		once.Do(func() { // the process would end here
			acked = u.acked.Load()
			after = disk.CrashClone(vfs.CrashCloneCfg{})
			started = u.started.Load()
			close(died)
		})
		runtime.Goexit()
	}
	opened := make(chan *Engine, 1)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		e, err := Open("e", o)
		if err != nil {
			require.ErrorIs(t, err, cause)
			return
		}
		running.Store(true)
		opened <- e
		u.makeAtMost(40, e)
	}()
	select {
	case <-worked:
	case <-died:
	}
	disks := []*vfs.MemFS{after}
	select {
	case <-died:
	default:
		acked, started = u.acked.Load(), u.started.Load()
		disks[0] = disk.CrashClone(vfs.CrashCloneCfg{})
		if len(opened) > 0 {
			(<-opened).Close()
		}
		disks = append(disks, disk.CrashClone(vfs.CrashCloneCfg{}))
	}
	for _, left := range disks {
		o := quiet(left)
		o.Locations = locations
		e, err := Open("e", o)
		require.NoError(t, err, "step %d, %v", step, cause)
		u.check(t, e, 26, acked, started)
		checkAccounts(t, e)
		commit(t, e, nil, setKey("more", ""))
		require.NoError(t, e.Close())
	}
}

// makeAtMost makes changes until there are n or one is refused for good.
func (u *user) makeAtMost(n int, e *Engine) {
	for range n {
		content, build := u.step()
		var body []byte
		if content != nil {
			body = octets(content.size, content.seed)
		}
		u.started.Add(1)
		err := tryCommit(e, body, build)
		for errors.Is(err, ErrNoSpace) {
			err = tryCommit(e, body, build)
		}
		if err != nil {
			return
		}
		u.acked.Add(1)
	}
}

func TestLittleSpaceIsLeftToChangesWithoutBody(t *testing.T) {
	disk := vfs.NewMem()
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20})
	o := quiet(disk)
	o.Reserve = 2 << 20
	e, err := Open("e", o)
	require.NoError(t, err)
	defer e.Close()
	err = tryCommit(e, []byte("x"), setKey("a", ""))
	require.ErrorIs(t, err, ErrNoSpace)
	require.ErrorIs(t, err, syscall.ENOSPC)
	commit(t, e, nil, setKey("b", ""))
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 3 << 20})
	commit(t, e, []byte("x"), setKey("a", ""))
}

// liar is a body whose second reading is another than its first.
type liar struct {
	message.Body
	read atomic.Int64
}

func (l *liar) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.Body.ReadAt(p, off)
	if l.read.Add(int64(n)) > l.Size() {
		p[0]++
	}
	return n, err
}

// broken is a body that can't be read to its end.
type broken struct{ message.Body }

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) == b.Size() {
		return 0, syscall.EIO
	}
	return b.Body.ReadAt(p, off)
}

func TestBodyThatCannotBeReadRefusesItsChangeOnly(t *testing.T) {
	e := openMem(t)
	for _, n := range []int{100, chunkSize + 1, largeBody, 3 * largeBody} {
		err := e.Commit(context.Background(), &Change{Body: broken{message.FromBytes(octets(n, 1))}, Build: setKey("no", "")})
		require.ErrorIs(t, err, syscall.EIO)
	}
	err := e.Commit(context.Background(), &Change{Body: &liar{Body: message.FromBytes(octets(3*largeBody, 1))}, Build: setKey("no", "")})
	require.Error(t, err)
	requireNoKey(t, e, "no")
	id := store(t, e, octets(2*largeBody, 1))
	requireBody(t, e, id, octets(2*largeBody, 1))
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
}

// TestRefusedRecordsDoNotComeBack: of a refused group all but the end was
// written. A later record that is as long as the group's first must not be
// followed by the group's second, as far as any later start can see.
func TestRefusedRecordsDoNotComeBack(t *testing.T) {
	for _, truncates := range []bool{false, true} {
		var armed atomic.Bool
		disk := vfs.NewCrashableMem()
		fs := faulty(disk, once("write", &armed, syscall.ENOSPC))
		fs.truncates = truncates
		fs.partly = func(_ op, n int) int { return n * 9 / 10 }
		e := openAt(t, fs, "e")
		change := func(key string) *Change {
			return &Change{Body: message.FromBytes(octets(3000, 1)), Build: func(tx *Tx) error {
				tx.Set([]byte(key), nil)
				tx.Ref(tx.Blob(), 1)
				return nil
			}}
		}
		for _, err := range holdGroup(t, e, func() { armed.Store(true) }, change("a"), change("b"), change("c")) {
			require.ErrorIs(t, err, ErrNoSpace)
		}
		require.NoError(t, e.Commit(context.Background(), change("d")))
		e = openAt(t, disk.CrashClone(vfs.CrashCloneCfg{}), "e")
		requireKey(t, e, "d", "")
		for _, key := range []string{"a", "b", "c"} {
			requireNoKey(t, e, key)
		}
	}
}

// enormous is a body that nobody should begin to read.
type enormous struct{ t *testing.T }

func (enormous) Size() int64 { return maxBody + 1 }
func (e enormous) ReadAt([]byte, int64) (int, error) {
	e.t.Error("it is read")
	return 0, nil
}

func TestEnormousBodyIsRefusedUnread(t *testing.T) {
	e := openAt(t, vfs.NewMem(), "e")
	err := e.Commit(t.Context(), &Change{Body: enormous{t}, Build: func(*Tx) error { return nil }})
	require.ErrorIs(t, err, ErrTooLarge)
}
