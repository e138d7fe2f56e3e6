package processing

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/message"
	memoryqueue "github.com/posthouse-mail/posthouse/queue/memory"
	"github.com/posthouse-mail/posthouse/storage"
	memorystore "github.com/posthouse-mail/posthouse/storage/memory"
)

// BenchmarkHandle takes over a message for one local recipient and prints, as
// ratio, how much of the speed of the store alone is left. Both store in
// memory, so the ratio is the worst there is.
func BenchmarkHandle(b *testing.B) {
	w := newWorld(b, func(o *Options) { o.Store, o.Queue = memorystore.New(), memoryqueue.New() })
	w.people.to["bench@here.test"] = []directory.Recipient{account("bench@here.test")}
	m := mailTo(b, "a@client.test", "bench@here.test")
	bare := memorystore.New()
	ctx := context.Background()
	var ratios []float64
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		err := w.Handle(ctx, m)
		ours := time.Since(start)
		b.StopTimer()
		require.Equal(b, "250 2.0.0 Accepted as M1", err.Error())
		start = time.Now()
		_, err = bare.Deliver(ctx, &storage.Delivery{Body: message.FromBytes([]byte(text)), Index: m.Index, Targets: []storage.Target{{User: "x", Prefix: []byte(trace)}}})
		ratios = append(ratios, float64(time.Since(start))/float64(ours))
		require.NoError(b, err)
		b.StartTimer()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}
