package local

import (
	"testing"
	"time"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

func TestExpungedMessagesAreRetained(t *testing.T) {
	storagetest.RunRetain(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		return inMemory(t, func(o *Options) { o.Settings, o.Now = settings, now })
	})
}

func TestExpungedMessagesAreRetainedWithTinyCaches(t *testing.T) {
	storagetest.RunRetain(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		return inMemory(t, func(o *Options) {
			o.Settings, o.Now = settings, now
			o.Rows, o.States, o.SegmentSize = 1, 2, 64<<10
		})
	})
}
