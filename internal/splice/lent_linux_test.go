package splice

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func lentPipes() int {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	return pipes.lent
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestAnIdlePairHoldsNeitherBufferNorPipe(t *testing.T) {
	for _, by := range []string{"tcp", "tls", "unix"} {
		t.Run(by, func(t *testing.T) {
			const pairs = 20
			rigs := make([]*rig, pairs)
			for i := range rigs {
				rigs[i] = start(t, by, by, Timeouts{})
				rigs[i].converse(t)
			}
			connected := descriptors(t)
			for _, r := range rigs {
				r.exchange(t, 1<<20)
				r.converse(t)
			}
			eventually(t, "giving everything back", func() bool { return buffers.lent.Load() == 0 && lentPipes() == 0 })
			require.LessOrEqual(t, descriptors(t), connected+2*pipesKept)
			require.LessOrEqual(t, len(pipes.free), pipesKept)
		})
	}
}

func TestPlainConnectionsSpliceOnlyWhatIsMuch(t *testing.T) {
	r := start(t, "tcp", "tcp", Timeouts{})
	r.converse(t)
	require.Zero(t, lentPipes())
	go func() {
		for sendBlocks(r.server, 1<<20) == nil {
		}
	}()
	go io.Copy(io.Discard, r.client)
	eventually(t, "splicing", func() bool { return lentPipes() == 1 })
	r.kick(nil)
}

func TestThereAreOnlySoManyPipes(t *testing.T) {
	var taken []*pipe
	for range pipeLimit {
		p := pipes.take()
		require.NotNil(t, p)
		taken = append(taken, p)
	}
	require.Nil(t, pipes.take())
	r := start(t, "tcp", "tcp", Timeouts{})
	r.exchange(t, 4<<20)
	for _, p := range taken {
		pipes.give(p, 0)
	}
	require.LessOrEqual(t, len(pipes.free), pipesKept)
}
