package local

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/storage"
)

// BenchmarkDeliverBounded delivers into 64 accounts with bounds and thresholds,
// beside 64 without any: on the disk, and in memory, where only the work counts.
func BenchmarkDeliverBounded(b *testing.B) {
	settings := func(string) storage.Settings {
		return storage.Settings{Quota: ample, MailboxQuota: ample, Thresholds: []int{80, 90, 95}, NoticeEvery: time.Hour}
	}
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprintf("disk/x%d", workers), func(b *testing.B) {
			bounded, _ := benchStore(b)
			bounded.options.Settings = settings
			free, _ := benchStore(b)
			enginetest.Compare(b, workers, deliverer(b, bounded), deliverer(b, free))
		})
		b.Run(fmt.Sprintf("memory/x%d", workers), func(b *testing.B) {
			o := Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)}
			free := open(b, "free", o)
			o.Settings, o.Notice = settings, func(storage.Notice) {}
			enginetest.Compare(b, workers, deliverer(b, open(b, "bounded", o)), deliverer(b, free))
		})
	}
}

// deliverer returns what delivers the next message.
func deliverer(b *testing.B, s *Store) func() error {
	var next atomic.Uint64
	body := text(1 << 10)
	one := func() error {
		r, err := s.Deliver(context.Background(), &storage.Delivery{Body: body, Targets: []storage.Target{
			{User: fmt.Sprintf("user%d@example.test", next.Add(1)%64), Prefix: []byte(trace)},
		}})
		if err == nil {
			err = r[0].Err
		}
		return err
	}
	for range 64 {
		require.NoError(b, one())
	}
	return one
}
