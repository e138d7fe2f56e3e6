package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

const childEnv = "POSTHOUSE_STORE_CHILD"

func TestMain(m *testing.M) {
	enginetest.Fresh(fill, openFilled)
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir, strings.Fields(os.Getenv(childEnv+"_STEPS"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func killLife(i int) *life { return newLife(lifeUser(i), uint64(i)+77) }

// killOptions make segments roll, and go to two locations.
func killOptions(dir string) Options {
	o := quiet(nil)
	o.SegmentSize = 200 << 10
	o.Locations = []Location{{Path: dir + ".a", Limit: 1 << 20}, {Path: dir + ".b"}}
	return o
}

// child lives until it is killed. It tells of every step that was
// acknowledged.
func child(dir string, steps []string) error {
	s, err := Open(dir, killOptions(dir))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var g sync.WaitGroup
	for i, text := range steps {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		l := killLife(i)
		for l.steps < n {
			if err := l.step(context.Background(), nil); err != nil {
				return err
			}
		}
		g.Go(func() {
			for {
				if err := l.step(context.Background(), s); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Printf("%d %d\n", i, l.steps)
				mu.Unlock()
			}
		})
	}
	g.Wait()
	return nil
}

// TestKilledProcessLosesNothingAcknowledged kills a process in the middle of
// its work, again and again on one store. POSTHOUSE_KILLS sets how often.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	kills := fromEnv(t, "POSTHOUSE_KILLS", 5)
	dir := filepath.Join(t.TempDir(), "store")
	for _, l := range killOptions(dir).Locations {
		require.NoError(t, os.Mkdir(l.Path, 0o700))
	}
	lives := make([]*life, 8)
	acked := make([]int, len(lives))
	for i := range lives {
		lives[i] = killLife(i)
	}
	for kill := range kills {
		liveUntilKilled(t, dir, acked, time.Duration(20+rand.IntN(100))*time.Millisecond)
		o := killOptions(dir)
		o.Rebuild = rand.IntN(3) == 0
		s, err := Open(dir, o)
		require.NoError(t, err, "after kill %d", kill)
		total := 0
		for i := range lives {
			lives[i] = lives[i].between(t, s, acked[i], acked[i]+1)
			acked[i] = lives[i].steps
			total += acked[i]
		}
		sound(t, s)
		require.NoError(t, s.Close())
		t.Logf("kill %d: %d steps in all", kill, total)
	}
}

// liveUntilKilled runs a child for a while from its first acknowledged step on.
func liveUntilKilled(t *testing.T, dir string, acked []int, d time.Duration) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_STEPS="+strings.Trim(fmt.Sprint(acked), "[]"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	var timer *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if timer == nil {
			timer = time.AfterFunc(d, func() { cmd.Process.Kill() })
		}
		var i, n int
		_, err = fmt.Sscanf(line, "%d %d", &i, &n)
		require.NoError(t, err)
		acked[i] = n
	}
	require.NotNil(t, timer, "the child did nothing")
	timer.Stop()
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, -1, exit.ExitCode(), "killed by a signal")
}
