package local

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/storage"
)

// goalFanOut is how many single deliveries one into 1,000 mailboxes may take.
const goalFanOut = 5

// BenchmarkDeliverToMany delivers 50 KiB to 1,000 mailboxes, in turns with a
// delivery to one and with bare appends of the same octets. "times-one" is the
// ratio of the medians, "limit-times-one" that of the appends: what the disk
// alone would need.
func BenchmarkDeliverToMany(b *testing.B) {
	s, dir := benchStore(b)
	limit, err := enginetest.NewLimit(dir)
	require.NoError(b, err)
	defer limit.Close()
	body := text(50 << 10)
	targets := make([]storage.Target, 1000)
	for i := range targets {
		targets[i] = tracedTarget(i)
	}
	deliver := func(n int) time.Duration {
		begin := time.Now()
		r, err := s.Deliver(b.Context(), &storage.Delivery{Body: body, Targets: targets[:n]})
		took := time.Since(begin)
		require.NoError(b, err)
		require.Len(b, r, n)
		return took
	}
	bare := func(octets []byte) time.Duration {
		begin := time.Now()
		require.NoError(b, limit.Append(octets))
		return time.Since(begin)
	}
	deliver(len(targets)) // makes the accounts
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	octets := func(n int) []byte {
		before := s.e.Stats().Written
		deliver(n)
		return make([]byte, s.e.Stats().Written-before)
	}
	few, lots := octets(1), octets(len(targets))
	var one, many, bareOne, bareMany []time.Duration
	for b.Loop() {
		one = append(one, deliver(1))
		many = append(many, deliver(len(targets)))
		bareOne = append(bareOne, bare(few))
		bareMany = append(bareMany, bare(lots))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(one).Seconds()*1000, "ms/one")
	b.ReportMetric(median(many).Seconds()*1000, "ms/1000")
	b.ReportMetric(ratio(many, one), "times-one")
	b.ReportMetric(goalFanOut, "times-one-goal")
	b.ReportMetric(ratio(bareMany, bareOne), "limit-times-one")
	b.ReportMetric(median(bareMany).Seconds()*1000, "ms/limit-1000")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }
