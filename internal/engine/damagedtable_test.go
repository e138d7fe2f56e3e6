package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// TestChangesGoOnWhileATableOfTheIndexIsDamaged damages every table of an index
// and goes on changing keys between those in it, so that the index can't merge
// what it flushes with what it has: changes are not held up by that, what is
// not damaged can be read, Check names the damage, and the log has everything.
func TestChangesGoOnWhileATableOfTheIndexIsDamaged(t *testing.T) {
	t.Run("one that was merged", func(t *testing.T) {
		testDamagedTable(t, func(e *Engine) error { return e.db.Compact(t.Context(), []byte("!"), []byte("z"), false) })
	})
	t.Run("one that was just flushed", func(t *testing.T) {
		testDamagedTable(t, (*Engine).flush)
	})
}

func testDamagedTable(t *testing.T, bring func(*Engine) error) {
	fs := vfs.NewMem()
	o := quiet(fs)
	key := func(i int) string { return fmt.Sprintf("key/%04d", i%1000) }
	value := func(i int) string { return string(octets(150, uint32(i%1000))) } // which can't be compressed
	e, err := Open("e", o)
	require.NoError(t, err)
	for i := range 1000 {
		commit(t, e, nil, setKey(key(i), "old"+value(i)))
	}
	require.NoError(t, bring(e))
	require.NoError(t, e.Close())
	damageTables(t, fs)
	o.memTable = 16 << 10

	e, err = Open("e", o)
	require.NoError(t, err, "the engine's own keys are not damaged")
	made := make(chan error)
	go func() {
		defer close(made)
		for i := range 2000 {
			made <- tryCommit(e, nil, setKey(key(i*7), value(i*7)))
		}
	}()
	for n := 0; ; n++ {
		select {
		case err, more := <-made:
			if !more {
				requireKey(t, e, key(0), value(0))
				requireDamaged(t, e, "index damaged")
				_ = e.Close()
				requireRebuilt(t, o, key, value)
				return
			}
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			t.Fatalf("change %d hangs", n)
		}
	}
}

// damageTables flips a bit in the middle of each table.
func damageTables(t *testing.T, fs vfs.FS) {
	names, err := fs.List("e/index")
	require.NoError(t, err)
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			n++
			edit(t, fs, "e/index/"+name, func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
		}
	}
	require.NotZero(t, n)
}

func requireRebuilt(t *testing.T, o Options, key, value func(int) string) {
	o.Rebuild = true
	e, err := Open("e", o)
	require.NoError(t, err)
	defer e.Close()
	for i := range 1000 {
		requireKey(t, e, key(i), value(i))
	}
	require.NoError(t, e.Check(context.Background(), Inspection{Damage: func(d *Damage) { t.Error(d) }}))
}
