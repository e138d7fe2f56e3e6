package mapping

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestP2R3412FileMapExactEntriesBeatPatternsAndThoseComeInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.map")
	write(t, path, `/^[a-m].*@example\.test$/ first
*@example.test second
/./ third
alice@example.test exact:1143
`)
	f, err := OpenFile(path)
	require.NoError(t, err)
	for user, host := range map[string]string{
		"alice@example.test": "exact", "ALICE@Example.Test": "exact", "bob@example.test": "first", "zoe@example.test": "second", "bob@example.net": "third",
	} {
		require.Equal(t, host, hostOf(t, f, user), user)
	}
}

func TestP2R3412FileMapABadLineIsReportedAndTheOldMapKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.map")
	write(t, path, "alice old\n")
	f, err := OpenFile(path)
	require.NoError(t, err)
	write(t, path, "# new\nalice new\nbob\n")
	err = f.Reload()
	bad, ok := errors.AsType[*LineError](err)
	require.True(t, ok)
	require.Equal(t, 3, bad.Line)
	require.ErrorContains(t, err, path)
	require.Equal(t, "old", hostOf(t, f, "alice"))
	write(t, path, "# new\nalice new\nbob new\n")
	require.NoError(t, f.Reload())
	require.Equal(t, "new", hostOf(t, f, "bob"))
}

// TestP2R3412FileMapReloadsWithoutAPauseOfALookup compares lookups while a large
// map is read with the time that the reading takes: if lookups waited for it,
// each reading would make one of them about as long.
func TestP2R3412FileMapReloadsWithoutAPauseOfALookup(t *testing.T) {
	const n, reloads = 100_000, 3
	path := filepath.Join(t.TempDir(), "users.map")
	var text strings.Builder
	users := make([]string, n)
	for i := range n {
		users[i] = fmt.Sprintf("user%d@customer%d.example.test", i, i%5000)
		text.WriteString(users[i] + " backend.example.test:1143\n")
	}
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	f, err := OpenFile(path)
	require.NoError(t, err)

	ctx, reloaded := context.WithCancel(t.Context())
	var reloading sync.WaitGroup
	var took time.Duration
	reloading.Go(func() {
		defer reloaded()
		began := time.Now()
		for range reloads {
			if err := f.Reload(); err != nil {
				t.Error(err)
			}
		}
		took = time.Since(began) / reloads
	})
	var lookups []time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		_, err := f.Map(ctx, users[len(lookups)%n])
		lookups = append(lookups, time.Since(began))
		if err != nil {
			t.Fatal(err)
		}
	}
	reloading.Wait()
	slices.Sort(lookups)
	t.Logf("%d lookups, the longest %v, while reading took %v each time", len(lookups), lookups[len(lookups)-1], took)
	require.Greater(t, len(lookups), 1000)
	require.Less(t, lookups[len(lookups)-reloads], took/2, "as many lookups as readings took long")
}
