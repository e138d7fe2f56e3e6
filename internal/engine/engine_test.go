package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/message"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	os.Exit(m.Run())
}

// quiet are options for tests: nothing is logged.
func quiet(fs vfs.FS) Options {
	return Options{FS: fs, Logger: slog.New(slog.DiscardHandler), Reserve: -1, pause: time.Millisecond}
}

func openMem(t *testing.T) *Engine { return openAt(t, vfs.NewMem(), "e") }

func openAt(t *testing.T, fs vfs.FS, dir string) *Engine {
	e, err := Open(dir, quiet(fs))
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	return e
}

func commit(t *testing.T, e *Engine, body []byte, build func(tx *Tx) error) {
	t.Helper()
	require.NoError(t, tryCommit(e, body, build))
}

func tryCommit(e *Engine, body []byte, build func(tx *Tx) error) error {
	c := &Change{Build: build}
	if body != nil {
		c.Body = message.FromBytes(body)
	}
	return e.Commit(context.Background(), c)
}

// store keeps a body with one reference.
func store(t *testing.T, e *Engine, body []byte) (id BlobID) {
	t.Helper()
	commit(t, e, body, func(tx *Tx) error {
		id = tx.Blob()
		tx.Ref(id, 1)
		return nil
	})
	return id
}

func drop(t *testing.T, e *Engine, id BlobID) {
	t.Helper()
	commit(t, e, nil, func(tx *Tx) error {
		tx.Ref(id, -1)
		return nil
	})
}

func readBody(e *Engine, id BlobID) ([]byte, error) {
	b, err := e.Open(id)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(message.NewReader(b))
}

func requireBody(t *testing.T, e *Engine, id BlobID, want []byte) {
	t.Helper()
	got, err := readBody(e, id)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "body of %d octets differs", len(want))
}

func requireKey(t *testing.T, e *Engine, key, want string) {
	t.Helper()
	got, ok, err := e.Get([]byte(key))
	require.NoError(t, err)
	require.True(t, ok, key)
	require.Equal(t, want, string(got))
}

func requireNoKey(t *testing.T, e *Engine, key string) {
	t.Helper()
	_, ok, err := e.Get([]byte(key))
	require.NoError(t, err)
	require.False(t, ok, key)
}

// octets are n octets that differ from place to place and from seed to seed.
func octets(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

func setKey(key, value string) func(tx *Tx) error {
	return func(tx *Tx) error {
		tx.Set([]byte(key), []byte(value))
		return nil
	}
}

func collect(into *[]string) func(k, v []byte) error {
	return func(k, v []byte) error {
		*into = append(*into, fmt.Sprintf("%s=%s", k, v))
		return nil
	}
}

func TestChangesSurviveCloseAndOpen(t *testing.T) {
	fs := vfs.NewMem()
	e := openAt(t, fs, "e")
	sizes := []int{0, 1, 1000, chunkSize - 1, chunkSize, chunkSize + 1, 200_000, largeBody - 1, largeBody, largeBody + 1, 3_000_000}
	ids := make([]BlobID, len(sizes))
	for i, n := range sizes {
		commit(t, e, octets(n, uint32(i)), func(tx *Tx) error {
			ids[i] = tx.Blob()
			tx.Ref(tx.Blob(), 1)
			tx.Set(fmt.Appendf(nil, "k%d", i), fmt.Append(nil, n))
			return nil
		})
	}
	check := func(e *Engine) {
		for i, n := range sizes {
			requireBody(t, e, ids[i], octets(n, uint32(i)))
			requireKey(t, e, fmt.Sprintf("k%d", i), fmt.Sprint(n))
		}
	}
	check(e)
	require.NoError(t, e.Close())
	e = openAt(t, fs, "e")
	check(e)
	require.IsIncreasing(t, ids)
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignored) })
	e := openMem(t)
	store(t, e, octets(100, 1))
	require.NoError(t, e.Close())
	disk, _ := crashed(t)
	edit(t, disk, firstSegment, func(b []byte) []byte { b[10] ^= 1; return b })
	_, err := Open("e", quiet(disk))
	require.ErrorIs(t, err, ErrDamaged)
}

func TestRefusedChangeLeavesNothing(t *testing.T) {
	e := openMem(t)
	commit(t, e, nil, setKey("a", "1"))
	refusal := errors.New("not today")
	for name, build := range map[string]func(tx *Tx) error{
		"before reading": func(tx *Tx) error {
			tx.Set([]byte("a"), []byte("2"))
			return refusal
		},
		"after reading": func(tx *Tx) error {
			tx.Set([]byte("a"), []byte("2"))
			v, _, err := tx.Get([]byte("a"))
			require.NoError(t, err)
			require.Equal(t, "2", string(v))
			tx.Ref(tx.Blob(), 1)
			return refusal
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, refusal, tryCommit(e, octets(2*largeBody, 1), build))
			requireKey(t, e, "a", "1")
			before := e.Stats()
			commit(t, e, nil, setKey("b", "1"))
			require.Less(t, e.Stats().Written-before.Written, uint64(100))
		})
	}
	for _, key := range []string{"", "!", "!pos", "!b12345678"} {
		require.ErrorIs(t, tryCommit(e, nil, setKey(key, "x")), ErrBadKey)
		_, _, err := e.Get([]byte(key))
		require.ErrorIs(t, err, ErrBadKey)
	}
}

// holdGroup makes changes in one group, and calls before ahead of it.
func holdGroup(t *testing.T, e *Engine, before func(), changes ...*Change) []error {
	t.Helper()
	gate, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		commit(t, e, nil, func(*Tx) error { close(entered); <-gate; return nil })
	})
	<-entered
	errs := make([]error, len(changes))
	for i, c := range changes {
		wg.Go(func() { errs[i] = e.Commit(context.Background(), c) })
		require.Eventually(t, func() bool {
			e.inbox.mu.Lock()
			defer e.inbox.mu.Unlock()
			return len(e.inbox.queue) == i+1
		}, 5*time.Second, 10*time.Microsecond)
	}
	before()
	close(gate)
	wg.Wait()
	return errs
}

func TestChangeSeesEarlierChangesOfItsGroup(t *testing.T) {
	e := openMem(t)
	commit(t, e, nil, func(tx *Tx) error {
		for _, k := range []string{"m1", "m2", "m3", "z"} {
			tx.Set([]byte(k), []byte("old"))
		}
		return nil
	})
	var saw []string
	var order []int
	refusal := errors.New("no")
	groups := e.Stats().Groups
	errs := holdGroup(t, e, func() {},
		&Change{Build: setKey("m2", "new"), Done: func() { order = append(order, 0) }},
		&Change{Build: func(tx *Tx) error { tx.Delete([]byte("m1")); return nil }},
		&Change{Build: func(tx *Tx) error {
			tx.Set([]byte("m9"), nil)
			_, ok, err := tx.Get([]byte("m1"))
			require.NoError(t, err)
			require.False(t, ok)
			return refusal
		}},
		&Change{Build: func(tx *Tx) error {
			tx.Set([]byte("m4"), []byte("mine"))
			if err := tx.Scan([]byte("m"), []byte("n"), collect(&saw)); err != nil {
				return err
			}
			return tx.Scan([]byte("m"), []byte("n"), func(k, _ []byte) error { tx.Delete(k); return nil })
		}, Done: func() { order = append(order, 3) }},
		&Change{Build: func(tx *Tx) error { return tx.Scan(nil, nil, collect(&saw)) }},
	)
	require.Equal(t, []error{nil, nil, refusal, nil, nil}, errs)
	require.Equal(t, groups+1, e.Stats().Groups-1, "one group besides the one that held it")
	require.Equal(t, []string{"m2=new", "m3=old", "m4=mine", "z=old"}, saw)
	require.Equal(t, []int{0, 3}, order)
	saw = nil
	require.NoError(t, e.Scan(context.Background(), nil, nil, collect(&saw)))
	require.Equal(t, []string{"z=old"}, saw)
}

func TestUndoIsCalledOnceForWhatIsNotMade(t *testing.T) {
	var armed atomic.Bool
	e := openAt(t, faulty(vfs.NewMem(), onSegments("write", &armed, syscall.EIO)), "e")
	var calls []string
	change := func(name string, build func(tx *Tx) error) *Change {
		return &Change{
			Build: func(tx *Tx) error { calls = append(calls, "build "+name); return build(tx) },
			Undo:  func() { calls = append(calls, "undo "+name) },
			Done:  func() { calls = append(calls, "done "+name) },
		}
	}
	fine := func(tx *Tx) error { tx.Set([]byte("k"), nil); return nil }
	holdGroup(t, e, func() {},
		change("refuses", func(*Tx) error { return errors.New("no") }),
		change("bad key", func(tx *Tx) error { tx.Set(nil, nil); return nil }),
		change("dead body", func(tx *Tx) error { tx.Ref(77, 1); return nil }),
		change("fine", fine),
	)
	require.Equal(t, []string{"build refuses", "undo refuses", "build bad key", "undo bad key",
		"build dead body", "undo dead body", "build fine", "done fine"}, calls)
	calls = nil
	holdGroup(t, e, func() { armed.Store(true) }, change("a", fine), change("b", fine))
	require.ErrorIs(t, e.Commit(context.Background(), change("never built", fine)), ErrFailed)
	require.Equal(t, []string{"build a", "build b", "undo b", "undo a"}, calls)
}

func TestBodyDiesWithItsLastReference(t *testing.T) {
	e := openMem(t)
	body := octets(1000, 7)
	id := store(t, e, body)
	commit(t, e, nil, func(tx *Tx) error { tx.Ref(id, 2); return nil })
	drop(t, e, id)
	drop(t, e, id)
	requireBody(t, e, id, body)
	open, err := e.Open(id)
	require.NoError(t, err)
	defer open.Close()
	require.Equal(t, int64(1000), e.Stats().Segments[0].Live)
	drop(t, e, id)
	_, err = e.Open(id)
	require.ErrorIs(t, err, ErrNoBlob)
	require.Zero(t, e.Stats().Segments[0].Live)
	require.Zero(t, e.Stats().Segments[0].Bodies)
	got, err := io.ReadAll(message.NewReader(open))
	require.NoError(t, err)
	require.Equal(t, body, got)
	for _, n := range []int{1, -1, 0} {
		require.ErrorIs(t, tryCommit(e, nil, func(tx *Tx) error { tx.Ref(id, n); return nil }), ErrNoBlob)
	}
	id = store(t, e, body)
	require.ErrorIs(t, tryCommit(e, nil, func(tx *Tx) error { tx.Ref(id, -2); return nil }), ErrNoBlob)
	var unused BlobID
	commit(t, e, body, func(tx *Tx) error { unused = tx.Blob(); tx.Set([]byte("k"), nil); return nil })
	_, err = e.Open(unused)
	require.ErrorIs(t, err, ErrNoBlob)
}

func TestReferencesWithinOneGroup(t *testing.T) {
	e := openMem(t)
	var id BlobID
	errs := holdGroup(t, e, func() {},
		&Change{Body: message.FromBytes([]byte("hello")), Build: func(tx *Tx) error {
			id = tx.Blob()
			tx.Ref(id, 1)
			return nil
		}},
		&Change{Build: func(tx *Tx) error { tx.Ref(id, 1); return nil }},
		&Change{Build: func(tx *Tx) error { tx.Ref(id, -2); return nil }},
		&Change{Build: func(tx *Tx) error { tx.Ref(id, 1); return nil }},
	)
	require.NoError(t, errors.Join(errs[:3]...))
	require.ErrorIs(t, errs[3], ErrNoBlob)
	_, err := e.Open(id)
	require.ErrorIs(t, err, ErrNoBlob)
	require.Zero(t, e.Stats().Segments[0].Bodies)
}

func TestOneProcessAtATime(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, fs.MkdirAll(dir, 0o700))
			e := openAt(t, fs, dir)
			_, err := Open(dir, quiet(fs))
			require.ErrorIs(t, err, ErrLocked)
			require.NoError(t, e.Close())
			openAt(t, fs, dir)
		})
	}
}

func TestClosedEngineRefusesEverything(t *testing.T) {
	e := openMem(t)
	id := store(t, e, []byte("x"))
	body, err := e.Open(id)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	require.ErrorIs(t, tryCommit(e, nil, setKey("a", "b")), ErrClosed)
	_, _, err = e.Get([]byte("a"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, e.Scan(context.Background(), nil, nil, nil), ErrClosed)
	require.ErrorIs(t, e.PutCache([]byte("a"), nil), ErrClosed)
	_, err = e.Open(id)
	require.ErrorIs(t, err, ErrClosed)
	s := e.Snapshot()
	_, _, err = s.Get([]byte("a"))
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, s.Close())
	p := make([]byte, 1)
	_, err = body.ReadAt(p, 0)
	require.NoError(t, err, "an open body outlives the engine")
	require.NoError(t, body.Close())
}

func TestContextEndsOnlyTheWait(t *testing.T) {
	e := openMem(t)
	ctx, cancel := context.WithCancel(context.Background())
	gate, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := e.Commit(ctx, &Change{Build: func(tx *Tx) error {
			close(entered)
			<-gate
			tx.Set([]byte("taken"), nil)
			return nil
		}})
		require.NoError(t, err)
	})
	<-entered
	waited := make(chan error)
	go func() { waited <- e.Commit(ctx, &Change{Build: setKey("waiting", "")}) }()
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	close(gate)
	wg.Wait()
	commit(t, e, nil, setKey("later", ""))
	requireKey(t, e, "taken", "")
	requireNoKey(t, e, "waiting")
}

func TestSnapshotStandsStill(t *testing.T) {
	e := openMem(t)
	commit(t, e, nil, setKey("a", "1"))
	s := e.Snapshot()
	defer s.Close()
	commit(t, e, nil, setKey("a", "2"))
	v, ok, err := s.Get([]byte("a"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "1", string(v))
	requireKey(t, e, "a", "2")
}
