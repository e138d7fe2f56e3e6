package engine

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

const (
	childDir  = "POSTHOUSE_TEST_ENGINE_DIR"  // makes the test program a child with this directory
	childSeed = "POSTHOUSE_TEST_ENGINE_SEED" // of its users
	killUsers = 8
)

// TestKillNineKeepsWhatWasAcknowledged kills a process in the middle of a load
// again and again; the child writes every acknowledged change to a pipe.
// POSTHOUSE_KILLS sets how often; "" is 10 times, and anything that is no
// number 50 times.
func TestKillNineKeepsWhatWasAcknowledged(t *testing.T) {
	kills := 10
	if v := os.Getenv("POSTHOUSE_KILLS"); v != "" {
		kills = 50
		if n, err := strconv.Atoi(v); err == nil {
			kills = n
		}
	}
	dir := filepath.Join(t.TempDir(), "e")
	for _, l := range childOptions(dir).Locations {
		require.NoError(t, os.Mkdir(l.Path, 0o700))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	users := make([]*user, killUsers)
	for i := range users {
		users[i] = newUser(i, seed)
	}
	for range kills {
		acked := killChild(t, dir, seed, 200+rand.IntN(1500))
		o := childOptions(dir)
		o.Rebuild = rand.IntN(3) == 0
		e, err := Open(dir, o)
		require.NoError(t, err)
		for i, u := range users {
			users[i] = u.check(t, e, seed, max(u.acked.Load(), acked[i]), 1<<40)
		}
		checkAccounts(t, e)
		if rand.IntN(2) == 0 {
			require.NoError(t, e.Close())
			continue
		}
		e.halt()
		require.NoError(t, e.shut()) // as it is, without flushing
	}
}

// childOptions make segments roll, go to two locations, and be compacted at
// once.
func childOptions(dir string) Options {
	o := quiet(vfs.Default)
	o.SegmentSize, o.memTable, o.settle = 100<<10, 100<<10, time.Millisecond
	o.Locations = []Location{{Path: dir + ".a", Limit: 300 << 10}, {Path: dir + ".b"}}
	return o
}

// killChild lets a child work until so many changes are acknowledged, kills
// it, and returns each user's count of acknowledged changes.
func killChild(t *testing.T, dir string, seed uint64, changes int) []int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s=%d", childSeed, seed))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	acked := make([]int64, killUsers)
	r := bufio.NewReader(pipe)
	for n := 0; ; n++ {
		var line [9]byte
		if _, err := io.ReadFull(r, line[:]); err != nil {
			break
		}
		acked[line[0]] = int64(binary.BigEndian.Uint64(line[1:]))
		if n == changes {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait(), "killed")
	return acked
}

// runChild works until it is killed, when this process is a child.
func runChild() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
	if err == nil {
		err = childLoad(dir, seed)
	}
	fmt.Fprintln(os.Stderr, err)
	return true
}

func childLoad(dir string, seed uint64) error {
	e, err := Open(dir, childOptions(dir))
	if err != nil {
		return err
	}
	errs := make(chan error)
	var out sync.Mutex
	for i := range killUsers {
		u := newUser(i, seed)
		v, ok, err := e.Get(u.countKey())
		if err != nil {
			return err
		}
		if ok {
			for range binary.BigEndian.Uint64(v) {
				u.step()
			}
		}
		u.acked.Store(int64(u.made))
		u.onAck = func() {
			line := binary.BigEndian.AppendUint64([]byte{byte(i)}, uint64(u.acked.Load()))
			out.Lock()
			defer out.Unlock()
			if _, err := os.Stdout.Write(line); err != nil {
				errs <- err
			}
		}
		go func() { errs <- u.work(e) }()
	}
	return <-errs
}
