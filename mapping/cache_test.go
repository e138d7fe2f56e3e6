package mapping

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// source knows alice and bob, and can be down. It counts its questions.
type source struct {
	asked atomic.Int32
	takes time.Duration

	mu    sync.Mutex
	hosts map[string]string
	err   error
}

func newSource() *source {
	return &source{hosts: map[string]string{"alice@example.test": "one", "bob@example.test": "one"}}
}

func (s *source) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Map answers with what was so when it was asked.
func (s *source) Map(ctx context.Context, user string) (Route, error) {
	s.asked.Add(1)
	s.mu.Lock()
	host, err, takes := s.hosts[user], s.err, s.takes
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return Route{}, ctx.Err()
	}
	switch {
	case err != nil:
		return Route{}, err
	case host == "":
		return Route{}, fmt.Errorf("%w: not here", ErrNotMapped)
	}
	return Route{Host: host}, nil
}

const alice, bob, carol = "alice@example.test", "bob@example.test", "carol@example.test"

// requireHost looks a user up; an empty host stands for err.
func requireHost(t *testing.T, c *Cache, user, host string, kind error) {
	t.Helper()
	r, err := c.Map(t.Context(), user)
	require.Equal(t, host, r.Host)
	if kind == nil {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, kind)
	if kind == ErrUnavailable {
		require.NotErrorIs(t, err, ErrNotMapped)
	}
}

func quiet(o CacheOptions) CacheOptions {
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}

func TestP3ACacheRemembersEachKindOfAnswerForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, quiet(CacheOptions{}))
		for _, kind := range []struct {
			user, host string
			err        error
			lasts      time.Duration
		}{
			{alice, "one", nil, 10 * time.Minute}, {carol, "", ErrNotMapped, 30 * time.Second}, {bob, "", ErrUnavailable, 2 * time.Second},
		} {
			if kind.user == bob {
				s.set(func() { s.err = errors.New("connection refused") })
			}
			asked := s.asked.Load()
			for range 2 {
				requireHost(t, c, kind.user, kind.host, kind.err)
				require.Equal(t, asked+1, s.asked.Load())
				time.Sleep(kind.lasts / 2)
			}
			requireHost(t, c, kind.user, kind.host, kind.err)
			require.Equal(t, asked+2, s.asked.Load(), "after %v", kind.lasts)
		}
	})
}

func TestP4AThousandLookupsOfAColdUserAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Second
		c := NewCache(s, CacheOptions{})
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { requireHost(t, c, alice, "one", nil) })
		}
		all.Wait()
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestA05P5WarmUsersGoOnWhileTheSourceIsDownAndColdOnesAskLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSource()
		c := NewCache(s, CacheOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		requireHost(t, c, alice, "one", nil)
		requireHost(t, c, carol, "", ErrNotMapped)
		time.Sleep(10 * time.Minute)
		s.set(func() { s.err = errors.New("connection refused") })
		asked := s.asked.Load()
		for range 119 { // of the hour
			for range 100 {
				requireHost(t, c, alice, "one", nil)
			}
			requireHost(t, c, bob, "", ErrUnavailable)
			requireHost(t, c, carol, "", ErrUnavailable) // he may be known by now
			time.Sleep(30 * time.Second)
		}
		require.Equal(t, asked+3*119, s.asked.Load(), "one question about each in Temporary")
		require.Equal(t, 60, strings.Count(log.String(), "\n"), "a line a minute")
		require.Contains(t, log.String(), "connection refused")
		time.Sleep(30 * time.Second)
		requireHost(t, c, alice, "", ErrUnavailable)
		s.set(func() { s.err, s.hosts[alice] = nil, "two" })
		time.Sleep(2 * time.Second)
		requireHost(t, c, alice, "two", nil)
		requireHost(t, c, carol, "", ErrNotMapped)
	})
}

func TestA05AStalledSourceHoldsWarmUsersUpForPatienceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, quiet(CacheOptions{}))
		requireHost(t, c, alice, "one", nil)
		time.Sleep(10 * time.Minute)
		s.set(func() { s.takes, s.hosts[alice] = 5*time.Second, "two" })
		began := time.Now()
		requireHost(t, c, alice, "one", nil)
		require.Equal(t, time.Second, time.Since(began))
		synctest.Wait()
		time.Sleep(5 * time.Second)
		requireHost(t, c, alice, "two", nil)
		require.EqualValues(t, 2, s.asked.Load(), "the question went on, and its answer is remembered")
	})
}

func TestP5StaleRoutesServeOnlyWhereTheOptionsLetThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, quiet(CacheOptions{Stale: -1}))
		requireHost(t, c, alice, "one", nil)
		s.set(func() { s.err = ErrUnavailable })
		time.Sleep(10*time.Minute - time.Nanosecond)
		requireHost(t, c, alice, "one", nil)
		time.Sleep(time.Nanosecond)
		requireHost(t, c, alice, "", ErrUnavailable)
	})
}

func TestAUserWhoIsGoneIsNotServedFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, CacheOptions{})
		requireHost(t, c, alice, "one", nil)
		s.set(func() { delete(s.hosts, alice) })
		time.Sleep(10 * time.Minute)
		requireHost(t, c, alice, "", ErrNotMapped)
		s.set(func() { s.hosts[alice] = "two" })
		time.Sleep(30 * time.Second)
		requireHost(t, c, alice, "two", nil)
	})
}

func TestA06SpellingsOfALoginAreOneEntry(t *testing.T) {
	s := newSource()
	c := NewCache(s, CacheOptions{})
	for _, user := range []string{alice, "Alice@Example.TEST", `"alice"@example.test`, "alice@example.test."} {
		requireHost(t, c, user, "one", nil)
	}
	require.EqualValues(t, 1, s.asked.Load())
	c.Invalidate("ALICE@example.test")
	requireHost(t, c, alice, "one", nil)
	require.EqualValues(t, 2, s.asked.Load())
}

func TestACacheOfHostileNamesStaysEmpty(t *testing.T) {
	s := newSource()
	c := NewCache(s, CacheOptions{})
	for _, user := range []string{"", "\x00", "\xff", strings.Repeat("x", 2000)} {
		requireHost(t, c, user, "", ErrNotMapped)
		_, err := c.Refresh(t.Context(), user)
		require.ErrorIs(t, err, ErrNotMapped)
		c.Invalidate(user)
	}
	require.Zero(t, s.asked.Load())
}

func TestTheEndOfOneCallersContextEndsHisWaitingOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Second
		c := NewCache(s, CacheOptions{})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.Map(ctx, alice)
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		all.Go(func() { requireHost(t, c, alice, "one", nil) })
		synctest.Wait()
		leave()
		all.Wait()
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestAQuestionEndsWhenNobodyWaitsAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Hour
		c := NewCache(s, quiet(CacheOptions{Timeout: 2 * time.Hour}))
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		_, err := c.Map(ctx, alice)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait() // the bubble ends only with the question
		s.set(func() { s.takes = 0 })
		requireHost(t, c, alice, "one", nil)
	})
}

func TestAQuestionEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Hour
		c := NewCache(s, quiet(CacheOptions{}))
		began := time.Now()
		requireHost(t, c, alice, "", ErrUnavailable)
		require.Equal(t, 30*time.Second, time.Since(began))
	})
}

func TestAPanicOfASourceIsAFailureOfOneLookup(t *testing.T) {
	c := NewCache(MapperFunc(func(context.Context, string) (Route, error) { panic("as asked") }), quiet(CacheOptions{}))
	requireHost(t, c, alice, "", ErrUnavailable)
}

func TestP3ACacheIsBounded(t *testing.T) {
	everybody := MapperFunc(func(_ context.Context, user string) (Route, error) {
		if strings.HasPrefix(user, "nobody") {
			return Route{}, ErrNotMapped
		}
		return Route{Host: "one"}, nil
	})
	c := NewCache(everybody, CacheOptions{Size: 16_000})
	for i := range 40_000 {
		if _, err := c.Map(t.Context(), fmt.Sprintf("user%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (routes, others int) {
		for e := range c.List() {
			if e.State == EntryFresh {
				routes++
			} else {
				others++
			}
		}
		return routes, others
	}
	routes, _ := count()
	require.InDelta(t, 16_000, routes, 30)
	for i := range 40_000 {
		if _, err := c.Map(t.Context(), fmt.Sprintf("nobody%d", i)); !errors.Is(err, ErrNotMapped) {
			t.Fatal(err)
		}
	}
	after, others := count()
	require.Equal(t, routes, after, "made-up names push no route out")
	require.InDelta(t, 2_000, others, 30)
}
