package mapping

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// says is a source that gives what it holds: a route as text.
type says string

func (s says) Map(context.Context, string) (Route, error) { return ParseRoute(string(s)) }

func TestX10ASourcesBadRouteIsATemporaryFailureToldOnceAnInterval(t *testing.T) {
	bad := []Mapper{
		says(""), says("host:99999"), says("a,b"), says("a b"), says("10.0.0.300"), says("127.0.0.1"), says("127.1.2.3:143"), says("[::1]:143"), says("[::ffff:127.0.0.1]"),
		says("localhost"), says("LOCALHOST."), says("a.localhost"), says("0.0.0.0"), says("[::]"), says("224.0.0.1"), says("255.255.255.255"),
		MapperFunc(func(context.Context, string) (Route, error) { return Route{}, nil }),
		MapperFunc(func(context.Context, string) (Route, error) { return Route{Host: "a", Port: 99999}, nil }),
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		for i, source := range bad {
			log.Reset()
			m := NewChecked(source, CheckedOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for interval := range 3 {
				for range 10 {
					r, err := m.Map(t.Context(), "alice")
					require.Zero(t, r)
					require.ErrorIs(t, err, ErrUnavailable, "%d", i)
					require.ErrorIs(t, err, ErrBadRoute)
					require.NotErrorIs(t, err, ErrNotMapped)
				}
				require.Equal(t, interval+1, strings.Count(log.String(), "\n"), "%d: %s", i, log.String())
				time.Sleep(time.Minute)
			}
			require.Contains(t, log.String(), "user=alice")
		}
	})
}

func TestX10LoopbackIsAllowedWhereTheOptionSaysSo(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]:143", "localhost"} {
		r, err := NewChecked(says(host), CheckedOptions{Loopback: LoopbackAllowed}).Map(t.Context(), "alice")
		require.NoError(t, err)
		require.NotZero(t, r)
	}
	_, err := NewChecked(says("0.0.0.0"), CheckedOptions{Loopback: LoopbackAllowed}).Map(t.Context(), "alice")
	require.ErrorIs(t, err, ErrBadRoute)
}

func TestCheckedLeavesOtherAnswersAlone(t *testing.T) {
	var log bytes.Buffer
	o := CheckedOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	m := NewChecked(table(t, "alice 10.0.0.1:143,user=x\n"), o)
	r, err := m.Map(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, Route{Host: "10.0.0.1", Port: 143, User: "x"}, r)
	_, err = m.Map(t.Context(), "bob")
	require.ErrorIs(t, err, ErrNotMapped)
	_, err = NewChecked(down, o).Map(t.Context(), "bob")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Empty(t, log.String())
}
