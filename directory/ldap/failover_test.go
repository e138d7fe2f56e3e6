package ldap

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
)

func lookup(t *testing.T, c *Connector) error {
	t.Helper()
	_, err := c.Lookup(t.Context(), "u1@example.test")
	return err
}

func TestTheFirstServerThatWorksIsAskedAndTheFirstOneAgainWhenItIsBack(t *testing.T) {
	first, second := full(t), full(t)
	c := connectTo(t, nil, first, second)
	require.NoError(t, lookup(t, c))
	require.Zero(t, second.Connections.Load())

	first.Stop()
	for range 5 {
		require.NoError(t, lookup(t, c), "no login is lost")
	}
	require.False(t, isUp(c, 0))
	require.Positive(t, second.Searches.Load())
	down := c.Servers()[0]
	require.Equal(t, first.URI(), down.URI)
	require.ErrorContains(t, down.Last, "connect")

	require.NoError(t, first.Restart())
	eventually(t, "the first server is back", func() bool { return isUp(c, 0) })
	before := second.Searches.Load()
	require.NoError(t, lookup(t, c))
	require.Equal(t, before, second.Searches.Load())
}

func TestAServerThatRestartedCostsNoLogin(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	require.NoError(t, lookup(t, c))
	require.NoError(t, c.Bind(t.Context(), dn("u1"), "pw"))
	for range 20 {
		require.NoError(t, s.Restart())
		require.NoError(t, lookup(t, c))
		require.NoError(t, c.Bind(t.Context(), dn("u1"), "pw"))
		s.CloseConnections()
		require.NoError(t, lookup(t, c))
	}
	require.True(t, isUp(c, 0))
	require.NoError(t, c.Servers()[0].Last)
}

func TestAStalledFirstServerCostsOneTimeoutOnce(t *testing.T) {
	for _, fault := range []ldapstub.Fault{ldapstub.Stall, ldapstub.StallConnect} {
		first, second := full(t), full(t)
		const timeout = 2 * time.Second
		c := connectTo(t, func(c *Config) { c.Timeout = timeout }, first, second)
		if fault == ldapstub.Stall {
			require.NoError(t, lookup(t, c)) // with a connection that it has already
		}
		first.SetFault(fault)
		begun := time.Now()
		require.NoError(t, lookup(t, c))
		require.GreaterOrEqual(t, time.Since(begun), timeout-100*time.Millisecond)
		connections := first.Connections.Load()
		begun = time.Now()
		for range 50 {
			require.NoError(t, lookup(t, c))
		}
		require.Less(t, time.Since(begun), patient)
		require.LessOrEqual(t, first.Connections.Load(), connections+50/10, "logins do not go there: only probes do")
		require.False(t, isUp(c, 0))
		first.SetFault(ldapstub.None)
		first.CloseConnections()
		eventually(t, "the first server is back", func() bool { return isUp(c, 0) })
	}
}

func TestLoginsThatWaitForAConnectionOfAServerThatFailsGoToTheNext(t *testing.T) {
	first, second := full(t), full(t)
	c := connectTo(t, func(c *Config) { c.Timeout, c.Connections = 3*time.Second, 1 }, first, second)
	first.SetFault(ldapstub.Stall)
	var wg sync.WaitGroup
	var longest atomic.Int64
	begun := time.Now()
	for range 20 {
		wg.Go(func() {
			if err := lookup(t, c); err != nil {
				t.Error(err)
			}
			longest.Store(max(longest.Load(), int64(time.Since(begun))))
		})
	}
	wg.Wait()
	require.Less(t, time.Duration(longest.Load()), 2*3*time.Second+patient/2, "not twenty timeouts, one after the other")
}

func TestWhenAllServersAreDownTheAnswerIsUnavailableAtOnce(t *testing.T) {
	first, second := full(t), full(t)
	c := connectTo(t, func(c *Config) { c.Retry = time.Hour }, first, second)
	first.Stop()
	second.Stop()
	require.Error(t, lookup(t, c))
	eventually(t, "both are down", func() bool { return !isUp(c, 0) && !isUp(c, 1) })
	for range 100 {
		err := lookup(t, c)
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrNoEntry)
		require.ErrorContains(t, err, first.URI())
		require.ErrorContains(t, err, second.URI())
	}
	err := c.Bind(t.Context(), dn("u1"), "pw")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrPassword)
	require.NotContains(t, err.Error(), "pw")
}

func TestTheOnlyServerIsFoundAgainByItsProbe(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	s.Stop()
	require.ErrorIs(t, lookup(t, c), ErrUnavailable)
	require.NoError(t, s.Restart())
	eventually(t, "it is back", func() bool { return lookup(t, c) == nil })
}

func TestA04FaultsOfAServerAreUnavailableOrTheNextServersAnswer(t *testing.T) {
	faults := map[string]func(s *ldapstub.Server){
		"reset in the middle":  func(s *ldapstub.Server) { s.SetFault(ldapstub.ResetMidAnswer) },
		"half an answer":       func(s *ldapstub.Server) { s.SetFault(ldapstub.HalfAnswer) },
		"no answer":            func(s *ldapstub.Server) { s.SetFault(ldapstub.CloseUnanswered) },
		"stall":                func(s *ldapstub.Server) { s.SetFault(ldapstub.Stall) },
		"no LDAP":              func(s *ldapstub.Server) { s.SetFault(ldapstub.Garbage) },
		"busy":                 func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, 51, "") },
		"unavailable":          func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, 52, "shutting down") },
		"other":                func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, 80, "") },
		"bind refused as busy": func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Bind, 51, "") },
		"bind needs more":      func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Bind, 8, "") },
		"base is elsewhere":    func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, 10, "") },
		"base is missing":      func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, 32, "") },
	}
	for name, inject := range faults {
		t.Run(name, func(t *testing.T) {
			bad, good := full(t), full(t)
			inject(bad)
			change := func(c *Config) {
				c.BindDN, c.BindPassword, c.Timeout = dn("u0"), "pw", time.Second
			}
			alone := connectTo(t, change, bad)
			err := lookup(t, alone)
			require.ErrorIs(t, err, ErrUnavailable)
			require.NotErrorIs(t, err, ErrNoEntry)
			require.NotErrorIs(t, err, ErrPassword)
			require.NoError(t, lookup(t, connectTo(t, change, bad, good)))
		})
	}
}

func TestAQuestionThatAServerRefusesIsNoReasonToGiveTheServerUp(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	for _, code := range []int{3, 11, 34, 50, 53} {
		s.SetAnswer(ldapstub.Search, code, "")
		require.ErrorIs(t, lookup(t, c), ErrUnavailable)
		require.True(t, isUp(c, 0))
	}
}

func TestOneQuestionThatFailsDoesNotMakeTheDirectoryUnavailableToOthers(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.Retry = time.Hour }, s)
	s.SetAnswer(ldapstub.Bind, 80, "internal error") // binds fail, searches do not
	for range 20 {
		err := c.Bind(t.Context(), dn("u1"), "pw")
		require.ErrorIs(t, err, ErrUnavailable)
		require.NoError(t, lookup(t, c))
	}
}

func TestAnEndedContextEndsAQuestionAndDoesNotBlameTheServer(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	require.NoError(t, lookup(t, c))
	s.SetFault(ldapstub.Stall)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for s.Searches.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := c.Lookup(ctx, "u1@example.test")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrUnavailable)
	require.True(t, isUp(c, 0))
	s.SetFault(ldapstub.None)
	require.NoError(t, lookup(t, c))
	require.ErrorIs(t, c.Bind(ctx, dn("u1"), "no"), ErrUnavailable)
}

func TestAServerThatStallsLongerThanItsCallersWaitIsFoundOut(t *testing.T) {
	first, second := full(t), full(t)
	c := connectTo(t, func(c *Config) { c.Timeout = 2 * time.Second }, first, second)
	first.SetFault(ldapstub.Stall)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Lookup(ctx, "u1@example.test")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	eventually(t, "the probe finds the server stalled", func() bool { return !isUp(c, 0) })
	require.NoError(t, lookup(t, c))
}

func TestWaitersAreBounded(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.Connections, c.MaxConcurrency = 1, 2 }, s)
	s.SetFault(ldapstub.Stall)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 3 { // one is asked, two wait
		wg.Go(func() { _, _ = c.Lookup(ctx, "u1@example.test") })
	}
	eventually(t, "two wait", func() bool { return c.waiting.Load() == 2 })
	err := lookup(t, c)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "2 questions wait already")
	cancel()
	wg.Wait()
	require.Zero(t, c.waiting.Load())
}

func TestConnectionsAreReusedAndNoMoreThanConfigured(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.Connections, c.UserBinds = 3, 2 }, s)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if err := errors.Join(lookup(t, c), c.Bind(t.Context(), dn("u1"), "pw")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, s.Connections.Load(), int64(5))
}

func TestCloseEndsWhatWaitsAndWhatIsAskedAfterwards(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	s.SetFault(ldapstub.Stall)
	ended := make(chan error)
	go func() { ended <- lookup(t, c) }()
	eventually(t, "it is asked", func() bool { return s.Searches.Load() == 1 })
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, ErrUnavailable)
	require.ErrorIs(t, lookup(t, c), ErrUnavailable)
	require.ErrorIs(t, c.Bind(t.Context(), dn("u1"), "pw"), ErrUnavailable)
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	c := connectTo(t, nil, full(t))
	require.NoError(t, lookup(t, c))
	p := c.servers[0].pools[searches]
	p.mu.Lock()
	require.Len(t, p.idle, 1)
	p.idle[0].used = time.Now().Add(-maxIdle)
	p.mu.Unlock()
	p.sweep()
	require.Empty(t, p.idle)
	require.Nil(t, p.timer)
	require.NoError(t, lookup(t, c))
}

func TestWhoWaitsForAConnectionIsAskedAgainWhenTheServerWorks(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.Retry, c.Connections = time.Hour, 1 }, s)
	s.SetAnswer(ldapstub.Bind, 80, "internal error")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := c.Bind(t.Context(), dn("u1"), "pw"); !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				if err := lookup(t, c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "the server is up", func() bool { return isUp(c, 0) })
}
