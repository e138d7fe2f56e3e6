package storage

import (
	"fmt"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
)

func TestFlagsIgnoreCaseAndOrder(t *testing.T) {
	a := NewFlags("b", `\SEEN`, "A", "B", `\Recent`, `\Unknown`, "", "a")
	require.Equal(t, Seen, a.System)
	require.Equal(t, []imap.Flag{imap.FlagSeen, "A", "b"}, a.Names())
	require.True(t, a.Equal(NewFlags("a", "B", imap.FlagSeen)))
	require.True(t, a.HasKeyword("B"))
	require.False(t, a.HasKeyword("c"))
	require.True(t, a.Has(Seen))
	require.False(t, a.Has(Seen|Draft))
}

func TestFlagsApplyChangesNeitherSide(t *testing.T) {
	a, b := NewFlags(imap.FlagSeen, "x", "y"), NewFlags(imap.FlagDraft, "Y", "z")
	for op, want := range map[imap.StoreFlagsOp]Flags{
		imap.StoreFlagsAdd: NewFlags(imap.FlagSeen, imap.FlagDraft, "x", "y", "z"),
		imap.StoreFlagsDel: NewFlags(imap.FlagSeen, "x"),
		imap.StoreFlagsSet: b,
	} {
		require.True(t, a.Apply(op, b).Equal(want), "%v", a.Apply(op, b))
		require.True(t, a.Equal(NewFlags(imap.FlagSeen, "x", "y")))
		require.True(t, b.Equal(NewFlags(imap.FlagDraft, "y", "z")))
	}
	require.Nil(t, a.Apply(imap.StoreFlagsDel, NewFlags("x", "y")).Keywords)
}

func TestFlagsHaveBounds(t *testing.T) {
	var names []imap.Flag
	for i := range MaxKeywords {
		names = append(names, imap.Flag(fmt.Sprintf("k%0*d", MaxKeyword-1, i)))
	}
	require.NoError(t, NewFlags(names...).Check())
	require.ErrorIs(t, NewFlags(append(names, "more")...).Check(), ErrLimit)
	require.ErrorIs(t, NewFlags(names[0]+"x").Check(), ErrLimit)
}

func TestDatesAreWholeSecondsThatIMAPCanWrite(t *testing.T) {
	for _, zone := range []int{0, 3600, -12 * 3600, 5*3600 + 1800, 3599, 99 * 3600} {
		for _, year := range []int{-5000, 0, 1, 1969, 2026, 9999, 99999} {
			got := TrimDate(time.Date(year, 12, 31, 23, 59, 59, 5, time.FixedZone("x", zone)))
			require.Zero(t, got.Nanosecond())
			require.GreaterOrEqual(t, got.Year(), 1)
			require.LessOrEqual(t, got.Year(), 9999)
			require.Equal(t, got, TrimDate(got))
			_, offset := got.Zone()
			require.Zero(t, offset%60)
			require.Less(t, max(offset, -offset), 24*3600)
		}
	}
	now := time.Now()
	require.Equal(t, now.Unix(), TrimDate(now).Unix())
}
