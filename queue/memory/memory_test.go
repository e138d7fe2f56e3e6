package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/queue/memory"
	"github.com/posthouse-mail/posthouse/queue/queuetest"
)

func TestQueue(t *testing.T) {
	queuetest.Run(t, func(t *testing.T, now func() time.Time) queue.Queue {
		q := memory.New()
		q.Now = now
		t.Cleanup(func() { require.NoError(t, q.Close()) })
		return q
	})
}

func TestClosedQueueRefusesWork(t *testing.T) {
	q := memory.New()
	require.NoError(t, q.Close())
	require.NoError(t, q.Close())
	_, err := q.Claim(t.Context(), 1, time.Minute)
	require.ErrorIs(t, err, queue.ErrClosed)
}
