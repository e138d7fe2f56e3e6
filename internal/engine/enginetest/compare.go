package enginetest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// roundTime is how long each side runs in one round.
const roundTime = 150 * time.Millisecond

// Compare runs ours and the limit in turns, each by so many workers at a time,
// and reports the median over the rounds of ours divided by the limit as
// "ratio", and both medians in operations per second. One round is one
// iteration of the benchmark: -benchtime=15x runs 15. Disks are not the same
// from one moment to the next, so only the ratio means something.
func Compare(b *testing.B, workers int, ours, limit func() error) {
	b.Helper()
	rate(b, workers, limit)
	rate(b, workers, ours)
	var ratios, mine, theirs []float64
	for b.Loop() {
		l := rate(b, workers, limit)
		o := rate(b, workers, ours)
		ratios, mine, theirs = append(ratios, o/l), append(mine, o), append(theirs, l)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(mine), "ours/s")
	b.ReportMetric(median(theirs), "limit/s")
}

// rate returns how often f ran per second.
func rate(b *testing.B, workers int, f func() error) float64 {
	b.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range workers {
		wg.Go(func() {
			for time.Since(begin) < roundTime {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(begin).Seconds()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}
