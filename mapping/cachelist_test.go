package mapping

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func listed(c *Cache) map[string]CacheEntry {
	all := make(map[string]CacheEntry)
	for e := range c.List() {
		all[e.User] = e
	}
	return all
}

func TestACacheIsListedAndInvalidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, quiet(CacheOptions{}))
		requireHost(t, c, alice, "one", nil)
		time.Sleep(10 * time.Minute)
		requireHost(t, c, bob, "one", nil)
		requireHost(t, c, carol, "", ErrNotMapped)
		time.Sleep(time.Second)
		s.set(func() { s.err = errors.New("connection refused") })
		requireHost(t, c, "dave", "", ErrUnavailable)
		require.Equal(t, map[string]CacheEntry{
			alice:  {alice, Route{Host: "one"}, 10*time.Minute + time.Second, EntryStale},
			bob:    {bob, Route{Host: "one"}, time.Second, EntryFresh},
			carol:  {carol, Route{}, time.Second, EntryNotMapped},
			"dave": {"dave", Route{}, 0, EntryUnavailable},
		}, listed(c))
		for e := range c.List() {
			require.NotEmpty(t, e.State.String())
			break
		}
		c.Invalidate(alice)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{bob, carol}, slices.Sorted(maps.Keys(listed(c))))
		requireHost(t, c, alice, "", ErrUnavailable)
		c.InvalidateAll()
		require.Empty(t, listed(c))
		requireHost(t, c, bob, "", ErrUnavailable)
	})
}

func TestWhatWasAskedBeforeAnInvalidateIsNotRemembered(t *testing.T) {
	for name, forget := range map[string]func(*Cache){
		"one": func(c *Cache) { c.Invalidate(alice) },
		"all": func(c *Cache) { c.InvalidateAll() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource()
				s.takes = time.Second
				c := NewCache(s, CacheOptions{})
				before := make(chan string)
				go func() { r, _ := c.Map(t.Context(), alice); before <- r.Host }()
				synctest.Wait()
				s.set(func() { s.hosts[alice], s.takes = "two", 20*time.Second })
				forget(c)
				after := make(chan string)
				go func() { r, _ := c.Map(t.Context(), alice); after <- r.Host }()
				require.Equal(t, "one", <-before, "who asked before has his answer")
				require.Empty(t, listed(c))
				require.Equal(t, "two", <-after, "who asks after does not join who asked before")
				requireHost(t, c, alice, "two", nil)
				require.EqualValues(t, 2, s.asked.Load())
			})
		})
	}
}

func TestRefreshAsksAndKeepsWhatIsRememberedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := NewCache(s, quiet(CacheOptions{}))
		requireHost(t, c, alice, "one", nil)
		s.set(func() { s.hosts[alice], s.takes = "two", time.Second })
		refreshed := make(chan string)
		go func() { r, _ := c.Refresh(t.Context(), "ALICE@example.test"); refreshed <- r.Host }()
		synctest.Wait()
		requireHost(t, c, alice, "one", nil)
		require.Equal(t, "two", <-refreshed)
		requireHost(t, c, alice, "two", nil)

		s.set(func() { s.err = errors.New("connection refused") })
		_, err := c.Refresh(t.Context(), alice)
		require.ErrorIs(t, err, ErrUnavailable)
		requireHost(t, c, alice, "two", nil)
		require.Equal(t, EntryFresh, listed(c)[alice].State)

		s.set(func() { s.err = nil; delete(s.hosts, alice) })
		_, err = c.Refresh(t.Context(), alice)
		require.ErrorIs(t, err, ErrNotMapped)
		requireHost(t, c, alice, "", ErrNotMapped)
	})
}

func TestRefreshDoesNotJoinWhatWasAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = 2 * time.Second
		c := NewCache(s, CacheOptions{})
		before := make(chan string)
		go func() { r, _ := c.Map(t.Context(), alice); before <- r.Host }()
		synctest.Wait()
		s.set(func() { s.hosts[alice], s.takes = "two", time.Second })
		r, err := c.Refresh(t.Context(), alice)
		require.NoError(t, err)
		require.Equal(t, "two", r.Host)
		require.Equal(t, "one", <-before)
		requireHost(t, c, alice, "two", nil)
	})
}
