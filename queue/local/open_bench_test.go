package local

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

// The goals of BenchmarkOpen are those of 1,000,000 messages.
const (
	goalOpen       = time.Second
	goalOpenMemory = 100e6
)

const queueEnv = "POSTHOUSE_QUEUE"

// BenchmarkOpen opens a queue and claims 100, each time in a new process, with
// 20,000 messages at rest or as many as POSTHOUSE_QUEUE says.
func BenchmarkOpen(b *testing.B) {
	dir := benchDir(b) + "/e"
	filled(b, dir, 20_000)
	b.Run("crash", func(b *testing.B) { enginetest.CompareOpening(b, dir, goalOpen, goalOpenMemory) })
	q, e, err := openBench(dir)
	require.NoError(b, err)
	require.NoError(b, q.Close())
	require.NoError(b, e.Close())
	b.Run("clean", func(b *testing.B) { enginetest.CompareOpening(b, dir, goalOpen, goalOpenMemory) })
}

// filled makes a queue with n messages, or as many as POSTHOUSE_QUEUE says, and
// leaves it as after kill -9.
func filled(b *testing.B, dir string, n int) {
	b.Setenv(queueEnv, strconv.Itoa(times(b, queueEnv, n)))
	enginetest.Filled(b, dir)
}

func fill(dir string) error {
	n, err := strconv.Atoi(os.Getenv(queueEnv))
	if err != nil {
		return err
	}
	q, e, err := openBench(dir)
	if err != nil {
		return err
	}
	l := load{q: q, e: e}
	var g errgroup.Group
	const putters = 64
	for w := range putters {
		g.Go(func() error {
			for i := w; i < n; i += putters {
				if err := l.put(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// openFilled opens what fill has made, and claims some of it.
func openFilled(dir string) error {
	q, _, err := openBench(dir)
	if err != nil {
		return err
	}
	claims, err := q.Claim(testContext, 100, time.Hour)
	if err == nil && len(claims) < 100 {
		err = errEmpty
	}
	return err
}
