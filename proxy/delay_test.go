package proxy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mapping"
)

func TestP41LoginsWaitForADelayAndAreMappedAnew(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	before := c.mustLogin(t, "alice", c.a.Host)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c.Sessions.Delay("ALICE", start.Add(34*time.Second))
		landed := make(chan string)
		for range 10 {
			go func() {
				l, at, err := c.login(context.Background(), "alice")
				if err != nil {
					at = err.Error()
				} else {
					l.Close()
				}
				landed <- at
			}()
		}
		synctest.Wait()
		require.Equal(t, 10, c.Sessions.waitingNow())
		_, err := c.Sessions.Kick(t.Context(), func(s Session) bool { return s.User == "alice" }, 0)
		require.NoError(t, err)
		c.move("alice", c.b)
		c.cache.Invalidate("alice")
		for range 10 {
			require.Equal(t, c.b.Host, <-landed)
		}
		require.GreaterOrEqual(t, time.Since(start), 34*time.Second)
		require.Less(t, time.Since(start), 35*time.Second)
	})
	before.Close()
	require.Empty(t, c.overlaps())
	require.Zero(t, c.Sessions.waitingNow())
	c.empty(t)
}

func TestP41DelayEndsEarly(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	c.Sessions.Delay("alice", time.Now().Add(time.Hour))
	landed := make(chan error)
	go func() {
		l, _, err := c.login(context.Background(), "alice")
		if err == nil {
			l.Close()
		}
		landed <- err
	}()
	require.Eventually(t, func() bool { return c.Sessions.waitingNow() == 1 }, 30*time.Second, time.Millisecond)
	require.Len(t, c.Sessions.Delays(), 1)
	c.Sessions.Delay("alice", time.Time{})
	require.NoError(t, <-landed)
	require.Empty(t, c.Sessions.Delays())
	c.empty(t)
}

func TestP41WaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sessions{MaxWaiting: 2}
		f := &Front{Mapper: mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{}, errors.New("must not be asked")
		}), Sessions: s}
		s.Delay("alice", time.Now().Add(time.Hour))
		start, failed := time.Now(), make(chan error)
		reach := func(ctx context.Context) {
			_, err := f.Reach(ctx, "alice", Client{Protocol: POP3})
			failed <- err
		}
		ctx, cancel := context.WithCancel(t.Context())
		go reach(t.Context())
		synctest.Wait()
		go reach(ctx)
		synctest.Wait()
		go reach(t.Context())
		require.ErrorIs(t, <-failed, ErrUnavailable, "the third")
		require.Equal(t, start, time.Now())
		cancel()
		require.ErrorIs(t, <-failed, ErrUnavailable, "the client who went")
		require.ErrorIs(t, <-failed, ErrUnavailable, "the client who waited too long")
		require.Equal(t, 35*time.Second, time.Since(start))
		require.Zero(t, s.waitingNow())
	})
}

func TestDelayedMailIsNotAvailableAtOnce(t *testing.T) {
	c := newCluster(t)
	c.a.User = "asmith"
	c.move("alice@example.test", c.a)
	for _, name := range []string{"alice@example.test", "asmith"} {
		c.Sessions.Delay(name, time.Now().Add(time.Hour))
		_, err := c.Reach(t.Context(), "alice@example.test", Client{Protocol: LMTP})
		require.ErrorIs(t, err, ErrUnavailable)
		c.Sessions.Delay(name, time.Time{})
	}
	l, err := c.Reach(t.Context(), "alice@example.test", Client{Protocol: LMTP})
	require.NoError(t, err)
	require.Empty(t, c.Sessions.taken(), "mail has no sessions")
	l.Close()
}

func TestDelaysThatAreOverAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sessions
		for range 100 {
			for i := range 1000 {
				s.Delay(fmt.Sprint("user", i, time.Now().UnixNano()), time.Now().Add(time.Second))
			}
			time.Sleep(2 * time.Second)
		}
		require.LessOrEqual(t, len(s.delays), 2500)
		require.Empty(t, s.Delays())
	})
}
