package hotfile

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBad = errors.New("line 1: bad")

// words is a kind of files with one word in them.
var words = Kind[string]{
	Name: "word list",
	Read: func(r io.Reader) (*string, error) {
		b, err := io.ReadAll(r)
		text := strings.TrimSpace(string(b))
		if err == nil && text == "bad" {
			err = errBad
		}
		return &text, err
	},
	Size: func(s *string) int { return len(*s) },
}

// write puts text into the file at path at once, as a careful editor does.
func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".new"
	require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(t, os.Rename(next, path))
}

func TestABadReloadKeepsTheLastGoodContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words")
	_, err := Open(path, words)
	require.ErrorIs(t, err, os.ErrNotExist)
	write(t, path, "one")
	f, err := Open(path, words)
	require.NoError(t, err)
	write(t, path, "bad")
	err = f.Reload()
	require.ErrorIs(t, err, errBad)
	require.ErrorContains(t, err, path)
	require.Equal(t, "one", *f.Load())
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, f.Reload(), os.ErrNotExist)
	require.Equal(t, "one", *f.Load())
	write(t, path, "two")
	require.NoError(t, f.Reload())
	require.Equal(t, "two", *f.Load())
}

func TestAFileIsReadAgainOnlyWhenItChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words")
	long := time.Now().Add(-time.Hour)
	put := func(text string, at time.Time) {
		write(t, path, text)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	put("one", long)
	f, err := Open(path, words)
	require.NoError(t, err)
	check := func(want bool, word string) {
		t.Helper()
		changed, err := f.reloadIfChanged()
		require.NoError(t, err)
		require.Equal(t, want, changed)
		require.Equal(t, word, *f.Load())
	}
	check(false, "one")
	put("two", long) // another file of the same size and time
	check(true, "two")
	check(false, "two")
	put("six", time.Now()) // too fresh to be sure of
	check(true, "six")
	check(true, "six")
}

// logged hands each line of a log over.
type logged struct {
	slog.Handler
	lines chan string
}

func (logged) Enabled(context.Context, slog.Level) bool { return true }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	l.lines <- r.Message
	return nil
}

func TestWatchFollowsTheFileAndTellsEachBadStateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words")
	write(t, path, "one")
	f, err := Open(path, words)
	require.NoError(t, err)
	log := logged{slog.DiscardHandler, make(chan string, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Watch(ctx, time.Millisecond, slog.New(log)) })

	await := func(message string) {
		for line := range log.lines {
			if line == message {
				return
			}
		}
	}
	write(t, path, "bad")
	await("word list not reloaded, the last good one stays")
	require.Equal(t, "one", *f.Load())
	write(t, path, "two")
	require.Eventually(t, func() bool { return *f.Load() == "two" }, 5*time.Second, time.Millisecond)
	require.NoError(t, os.Remove(path))
	await("word list not reloaded, the last good one stays")
	cancel()
	wg.Wait()
	require.Equal(t, "two", *f.Load())
}
