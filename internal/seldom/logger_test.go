package seldom

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEachKeyIsToldOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&out, nil)), 0)
		for range 5 {
			l.Warn(t.Context(), "a", "first")
			l.Warn(t.Context(), "b", "second", "n", 1)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, strings.Count(out.String(), "\n"))
		time.Sleep(time.Minute)
		l.Warn(t.Context(), "a", "first")
		require.Equal(t, 2, strings.Count(out.String(), "first"))
		require.Contains(t, out.String(), "n=1")
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler), time.Hour)
	for i := range 2*maxKeys + 1 {
		l.Warn(t.Context(), fmt.Sprint(i), "line")
	}
	require.LessOrEqual(t, len(l.told), maxKeys)
}
