package storage

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentIsThatOfTheNearestBound(t *testing.T) {
	for _, c := range []struct {
		limit, used Quota
		want        int
	}{
		{Quota{}, Quota{Bytes: 1 << 40}, 0},
		{Quota{Bytes: 100}, Quota{Bytes: 29}, 29},
		{Quota{Bytes: 100}, Quota{Bytes: 101}, 101},
		{Quota{Bytes: 3}, Quota{Bytes: 2}, 66},
		{Quota{Bytes: 100, Messages: 10, Mailboxes: 4}, Quota{Bytes: 29, Messages: 2, Mailboxes: 3}, 75},
		{Quota{Bytes: -5, Messages: 10}, Quota{Bytes: 29, Messages: 1}, 10},
		{Quota{Bytes: math.MaxInt64}, Quota{Bytes: math.MaxInt64 - 1}, 99},
		{Quota{Bytes: math.MaxInt64}, Quota{Bytes: math.MaxInt64}, 100},
		{Quota{Bytes: 1}, Quota{Bytes: math.MaxInt64}, 1_000_000},
	} {
		require.Equal(t, c.want, c.limit.Percent(c.used), "%v of %v", c.used, c.limit)
	}
	for used := range int64(101) {
		require.EqualValues(t, used, Quota{Messages: 100}.Percent(Quota{Messages: used}))
	}
}

func TestReachedIsTheHighestThreshold(t *testing.T) {
	s := Settings{Thresholds: []int{50, 80, 100}}
	for percent, want := range map[int]int{0: 0, 49: 0, 50: 50, 79: 50, 80: 80, 99: 80, 100: 100, 1000: 100} {
		require.Equal(t, want, s.Reached(percent))
	}
	require.Zero(t, new(Settings).Reached(100))
}

func TestCheckRefusesWhatIsAboveABound(t *testing.T) {
	q := Quota{Bytes: 10, Messages: 2, Mailboxes: 3}
	require.NoError(t, q.Check(q))
	require.NoError(t, Quota{}.Check(q))
	require.NoError(t, Quota{Bytes: -1}.Check(q))
	for _, more := range []Quota{{Bytes: 1}, {Messages: 1}, {Mailboxes: 1}} {
		require.ErrorIs(t, q.Check(q.Plus(more)), ErrOverQuota)
	}
}
