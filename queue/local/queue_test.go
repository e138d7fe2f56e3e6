package local

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/queue/queuetest"
)

// openOn opens an engine and a queue on a file system, closed by t.Cleanup.
func openOn(t *testing.T, fs vfs.FS, now func() time.Time) *Queue {
	e, err := engine.Open("data", engine.Options{FS: fs})
	require.NoError(t, err)
	q, err := open(e, Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = q.Close()
		_ = e.Close()
	})
	return q
}

func TestQueue(t *testing.T) {
	queuetest.Run(t, func(t *testing.T, now func() time.Time) queue.Queue {
		return openOn(t, vfs.NewMem(), now)
	})
}
