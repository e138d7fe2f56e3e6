package local

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

// childVariable makes the test binary a user of the queue in the directory
// that it names.
const childVariable = "POSTHOUSE_QUEUE_CHILD"

func TestMain(m *testing.M) {
	enginetest.Fresh(fill, openFilled)
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killOptions make segments roll, and go to two locations.
func killOptions(dir string) engine.Options {
	return engine.Options{
		SegmentSize: 200 << 10, Reserve: -1, Logger: quietLog,
		Locations: []engine.Location{{Path: dir + ".a", Limit: 1 << 20}, {Path: dir + ".b"}},
	}
}

// openDir opens the queue in a directory on the disk.
func openDir(dir string, o engine.Options) (*Queue, *engine.Engine, error) {
	e, err := engine.Open(dir, o)
	if err != nil {
		return nil, nil, err
	}
	q, err := open(e, Options{})
	return q, e, err
}

// child works on the queue until it is killed, and tells every event.
func child(dir string) error {
	q, _, err := openDir(dir, killOptions(dir))
	if err != nil {
		return err
	}
	failed := make(chan error)
	l := newLedger()
	l.out = os.Stdout
	seed := time.Now().UnixNano() % 1e15
	l.next = int(seed)
	for w := range 8 {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
		go func() {
			for {
				step := l.put
				if w%2 == 0 {
					step = l.work
				}
				if err := step(q, r); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// kill -9 in the middle of work, again and again on one queue.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "data")
	for _, l := range killOptions(dir).Locations {
		require.NoError(t, os.Mkdir(l.Path, 0o700))
	}
	l := newLedger()
	for range times(t, "POSTHOUSE_KILLS", 5) {
		killOne(t, dir, l, time.Duration(20+r.IntN(150))*time.Millisecond)
		o := killOptions(dir)
		o.Rebuild = r.IntN(3) == 0
		q, e, err := openDir(dir, o)
		require.NoError(t, err)
		l = audit(t, q, l, l)
		exhaust(t, q)
		require.NoError(t, q.Close())
		require.NoError(t, e.Close())
	}
	require.Greater(t, len(l.messages), 20, "the child did too little")
}

// killOne runs a child for a while after its first event and takes down what it
// told.
func killOne(t *testing.T, dir string, l *ledger, d time.Duration) {
	// The recipients that the child finds in the queue are known to l already.
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r := bufio.NewReader(out)
	var timer *time.Timer
	for {
		text, err := r.ReadString('\n')
		if err != nil { // the last line may be cut: it is an event that nobody heard of
			require.ErrorIs(t, err, io.EOF)
			break
		}
		if timer == nil {
			timer = time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
		}
		l.note(strings.Fields(text)...)
	}
	_ = cmd.Wait() // it was killed
	require.Empty(t, stderr.String())
}
