package engine

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler lets the index compact its tables only once it is open: opening
// waits for every compaction that it has begun, which can take seconds. What is
// to be compacted then is looked for at the next flush, and after each
// compaction. The library's own scheduler does that as well without its ticker,
// which can't be kept from beginning at once, and which goes on when opening has
// failed: it merges tables of what was closed then, and that ends the process.
type scheduler struct {
	*pebble.ConcurrencyLimitScheduler
	open atomic.Bool
}

func newScheduler() *scheduler {
	return &scheduler{ConcurrencyLimitScheduler: pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()}
}

// TrySchedule refuses every compaction until the index is open.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !s.open.Load() {
		return false, nil
	}
	return s.ConcurrencyLimitScheduler.TrySchedule()
}
