package mapping

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts text into the file at path at once, as a careful editor does.
func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".new"
	require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(t, os.Rename(next, path))
}

func hostOf(t *testing.T, f *File, user string) string {
	t.Helper()
	r, err := f.Map(context.Background(), user)
	require.NoError(t, err)
	return r.Host
}

func TestX10P2ABadReloadKeepsTheLastGoodMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.map")
	_, err := OpenFile(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	write(t, path, "alice one\n")
	f, err := OpenFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", hostOf(t, f, "alice"))

	write(t, path, "alice two\nbob two:99999\n")
	require.ErrorIs(t, f.Reload(), ErrBadRoute)
	require.Equal(t, "one", hostOf(t, f, "alice"))

	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, f.Reload(), os.ErrNotExist)
	require.Equal(t, "one", hostOf(t, f, "alice"))

	write(t, path, "alice three\n")
	require.NoError(t, f.Reload())
	require.Equal(t, "three", hostOf(t, f, "alice"))
}

// logged hands each line of a log over.
type logged struct {
	slog.Handler
	lines chan string
}

func (l logged) Handle(_ context.Context, r slog.Record) error {
	l.lines <- r.Message
	return nil
}

func TestWatchFollowsTheFileAndTellsEachBadStateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.map")
	write(t, path, "alice one\n")
	f, err := OpenFile(path)
	require.NoError(t, err)
	log := logged{slog.DiscardHandler, make(chan string, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Watch(ctx, time.Millisecond, slog.New(alwaysOn{log})) })

	await := func(message string) {
		for line := range log.lines {
			if line == message {
				return
			}
		}
	}
	write(t, path, "bad\n")
	await("user map not reloaded, the last good one stays")
	require.Equal(t, "one", hostOf(t, f, "alice"))
	write(t, path, "alice two\n")
	require.Eventually(t, func() bool { return hostOf(t, f, "alice") == "two" }, 5*time.Second, time.Millisecond)
	require.NoError(t, os.Remove(path))
	await("user map not reloaded, the last good one stays")
	cancel()
	wg.Wait()
	require.Equal(t, "two", hostOf(t, f, "alice"))
}

// alwaysOn is a handler that is enabled.
type alwaysOn struct{ logged }

func (alwaysOn) Enabled(context.Context, slog.Level) bool { return true }
