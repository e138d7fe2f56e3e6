package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// carry packs an account in one store and unpacks it in another one at the same
// time; watch is told of what goes over.
func carry(t testing.TB, from, to *Store, user string, watch io.Writer) Unpacked {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		_, err := from.Pack(context.Background(), user, w, PackOptions{})
		w.CloseWithError(err)
	}()
	got, err := to.Unpack(context.Background(), user, io.TeeReader(r, watch), UnpackOptions{Replace: true, SpoolDir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return got
}

// heapWatch looks now and then how much memory is in use.
type heapWatch struct {
	octets, next int64
	most         uint64
}

func (h *heapWatch) Write(p []byte) (int, error) {
	if h.octets += int64(len(p)); h.octets >= h.next {
		h.next = h.octets + 4<<20
		h.most = max(h.most, heap())
	}
	return len(p), nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestP42MemoryIsBoundedWhateverMoves moves bodies of 60 MiB and many small
// ones: 120 MiB, of which 40 may be in memory.
func TestP42MemoryIsBoundedWhateverMoves(t *testing.T) {
	dir := t.TempDir()
	from, to := open(t, filepath.Join(dir, "from"), quiet(nil)), open(t, filepath.Join(dir, "to"), quiet(nil))
	m := inbox(t, from, "alice")
	for range 2 {
		_, err := m.Append(context.Background(), storage.NewMessage{Body: message.FromBytes(make([]byte, 30<<20))})
		require.NoError(t, err)
	}
	small := make([]storage.NewMessage, 500)
	for i := range small {
		small[i] = storage.NewMessage{Body: message.FromBytes([]byte(fmt.Sprintf("Subject: %d\r\n\r\n%0600d\r\n", i, i)))}
	}
	for range 30 {
		_, err := m.Append(context.Background(), small...)
		require.NoError(t, err)
	}
	for i := range 900 {
		_, err := m.Append(context.Background(), storage.NewMessage{Body: message.FromBytes([]byte(fmt.Sprintf("Subject: %d\r\n\r\n%060000d\r\n", i, i)))})
		require.NoError(t, err)
	}
	before, watch := heap(), &heapWatch{}
	got := carry(t, from, to, "alice", watch)
	require.EqualValues(t, 15_902, got.Messages)
	require.Greater(t, watch.octets, int64(120<<20))
	require.Less(t, int64(watch.most)-int64(before), int64(40<<20), "%d octets of heap at most, %d before", watch.most, before)
	t.Logf("%d MiB moved, %d MiB of memory more than before", watch.octets>>20, (int64(watch.most)-int64(before))>>20)
	sound(t, to)
}

// BenchmarkMove moves an account of 12,800 messages of 8 KiB, or 512 of 200
// KiB, from one store to another on the same disk: first all of it, and then
// what has to go in the window, which is everything but the bodies. "MB/s" is
// of message octets, "copy-MB/s" a plain copy of as large a file with a sync at
// its end, "of-copy" the share, and "window-ms" the second round.
func BenchmarkMove(b *testing.B) {
	for _, size := range []int{8 << 10, 200 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) { benchmarkMove(b, size, 100<<20/size) })
	}
}

func benchmarkMove(b *testing.B, size, messages int) {
	from, dir := benchStore(b)
	body := text(size)
	each := make([]storage.Target, 1)
	each[0].User = "alice"
	work := make(chan int)
	done := make(chan error)
	for range 64 {
		go func() {
			var err error
			for range work {
				if _, e := from.Deliver(context.Background(), &storage.Delivery{Body: body, Targets: each}); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for i := range messages {
		work <- i
	}
	close(work)
	for range 64 {
		require.NoError(b, <-done)
	}
	octets := float64(messages) * float64(size)
	var moving, copying, window time.Duration
	for b.Loop() {
		to := open(b, filepath.Join(dir, fmt.Sprint("to", time.Now().UnixNano())), Options{Logger: slog.New(slog.DiscardHandler)})
		begin := time.Now()
		ahead(b, from, to, PackOptions{Part: Bodies})
		moving += time.Since(begin)
		state, err := to.Arrived(context.Background(), "alice")
		require.NoError(b, err)
		begin = time.Now()
		ahead(b, from, to, PackOptions{Since: state})
		window += time.Since(begin)
		moving += time.Since(begin)
		copying += plainCopy(b, dir, int64(octets))
	}
	n := float64(b.N)
	b.ReportMetric(n*octets/1e6/moving.Seconds(), "MB/s")
	b.ReportMetric(n*octets/1e6/copying.Seconds(), "copy-MB/s")
	b.ReportMetric(copying.Seconds()/moving.Seconds(), "of-copy")
	b.ReportMetric(float64(window.Milliseconds())/n, "window-ms")
	b.ReportMetric(float64(messages), "messages")
}

func ahead(b *testing.B, from, to *Store, o PackOptions) {
	r, w := io.Pipe()
	go func() {
		_, err := from.Pack(context.Background(), "alice", w, o)
		w.CloseWithError(err)
	}()
	_, err := to.Unpack(context.Background(), "alice", r, UnpackOptions{})
	require.NoError(b, err)
}

// plainCopy copies a file of so many octets.
func plainCopy(b *testing.B, dir string, octets int64) time.Duration {
	name := filepath.Join(dir, "plain")
	if _, err := os.Stat(name); err != nil {
		f, err := os.Create(name)
		require.NoError(b, err)
		_, err = io.CopyN(f, endless{}, octets)
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
	begin := time.Now()
	in, err := os.Open(name)
	require.NoError(b, err)
	defer in.Close()
	out, err := os.Create(name + ".copy")
	require.NoError(b, err)
	_, err = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in}) // octets that pass through the program, as ours do
	require.NoError(b, err)
	require.NoError(b, out.Sync())
	require.NoError(b, out.Close())
	return time.Since(begin)
}

// endless is octets without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}
