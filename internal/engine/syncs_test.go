package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// TestSyncsPerChange counts every sync of every file: one for a change alone,
// and under one for 25 changes when 64 wait at a time.
func TestSyncsPerChange(t *testing.T) {
	var syncs atomic.Int64
	fs := faulty(vfs.Default, func(o op) error {
		if o.kind == "sync" || o.kind == "syncdir" {
			syncs.Add(1)
		}
		return nil
	})
	e := openAt(t, fs, t.TempDir())
	d := &delivery{e: e, body: message.FromBytes(octets(1024, 1)), cache: octets(600, 2)}

	before := syncs.Load()
	const alone = 50
	for range alone {
		require.NoError(t, d.deliver())
	}
	require.Equal(t, int64(alone), syncs.Load()-before)

	before = syncs.Load()
	const workers, each = 64, 60
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := d.deliver(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	made := syncs.Load() - before
	t.Logf("%d changes, %d syncs", workers*each, made)
	require.Less(t, made, int64(workers*each/25))
	require.Equal(t, uint64(alone+workers*each), e.Stats().Changes)
}

// TestDiskOctetsPerBodyOctet: a body is written once.
func TestDiskOctetsPerBodyOctet(t *testing.T) {
	e := openMem(t)
	d := &delivery{e: e, body: message.FromBytes(octets(50<<10, 1)), cache: octets(600, 2)}
	for range 20 {
		require.NoError(t, d.deliver())
	}
	require.Less(t, float64(e.Stats().Written), 1.01*20*50*1024, fmt.Sprint(e.Stats()))
}
