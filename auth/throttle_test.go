package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// guess makes one attempt and returns its error and how long it took.
func guess(t *testing.T, th *Throttle, user, password string, from netip.Addr) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	_, err := th.Authenticate(t.Context(), Credentials{User: user, Password: password, Remote: from})
	return time.Since(began), err
}

func somewhere(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }

func TestA13DelaysDoubleAndThenAttemptsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		var waits []time.Duration
		for {
			took, err := guess(t, th, "alice", "wrong", home)
			if errors.Is(err, ErrTooMany) {
				require.Zero(t, took, "a refusal is given at once")
				break
			}
			require.ErrorIs(t, err, ErrBadCredentials)
			waits = append(waits, took)
		}
		ms := time.Millisecond
		require.Equal(t, []time.Duration{0, 0, 0, 0, 0, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms}, waits)
	})
}

func TestA13ManyNetworksGuessOneUserWhoStillGetsInFromWhereHeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		asked := 0
		for i := range 10_000 {
			_, err := guess(t, th, "alice", fmt.Sprint(i), somewhere(i))
			if errors.Is(err, ErrBadCredentials) {
				asked++
			}
		}
		require.Less(t, asked, 20)
		took, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Zero(t, took)
		_, err = guess(t, th, "alice", "secret", abroad)
		require.ErrorIs(t, err, ErrTooMany)
	})
}

func TestA13OneNetworkGuessesManyUsersOfWhomAKnownOneStillGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		asked := 0
		for i := range 10_000 {
			if _, err := guess(t, th, fmt.Sprint("user", i), "password", home); errors.Is(err, ErrBadCredentials) {
				asked++
			}
		}
		require.Less(t, asked, 30)
		took, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Zero(t, took)
	})
}

func TestA13AddressesOfOneIPv6NetworkCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		asked := 0
		for i := range 1000 {
			from := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", i, i))
			if _, err := guess(t, th, fmt.Sprint("user", i), "password", from); errors.Is(err, ErrBadCredentials) {
				asked++
			}
		}
		require.Less(t, asked, 30)
		_, mapped := guess(t, th, "bob", "password", netip.MustParseAddr("::ffff:192.0.2.1"))
		require.ErrorIs(t, mapped, ErrBadCredentials, "an IPv4 address is one, however it is written")
		require.Equal(t, th.network(home), th.network(netip.MustParseAddr("::ffff:192.0.2.1")))
	})
}

func TestA13GuessingInParallelGainsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Authenticator: AuthenticatorFunc(func(ctx context.Context, c Credentials) (Identity, error) {
			time.Sleep(50 * time.Millisecond)
			return alice(ctx, c)
		})}
		th := NewThrottle(below, ThrottleOptions{})
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { _, _ = guess(t, th, "alice", fmt.Sprint(i), somewhere(i)) })
		}
		all.Wait()
		require.LessOrEqual(t, below.asked.Load(), int32(9))
	})
}

func TestManyRightLoginsFromOneAddressAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			time.Sleep(20 * time.Millisecond)
			return Identity{User: c.User}, nil
		}), ThrottleOptions{})
		began := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				_, err := guess(t, th, fmt.Sprint("user", i%300), "right", home)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.LessOrEqual(t, time.Since(began), 2*time.Second, "an office comes back after a power cut")
	})
}

func TestAKnownPairThatKeepsFailingIsKnownNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		refused := false
		for i := range 50 {
			_, err := guess(t, th, "alice", fmt.Sprint(i), home)
			refused = refused || errors.Is(err, ErrTooMany)
		}
		require.True(t, refused)
		require.Zero(t, th.known.Len())
	})
}

func TestA06SpellingsOfOneNameShareACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(withPowers{alice}, ThrottleOptions{UserFailures: 3, Patience: time.Millisecond})
		for i, name := range []string{"Alice", "alice+x", "al"} {
			_, err := guess(t, th, name, "wrong", somewhere(i))
			require.ErrorIs(t, err, ErrBadCredentials)
		}
		_, err := guess(t, th, "alice", "wrong", home)
		require.ErrorIs(t, err, ErrTooMany)
	})
}

func TestFailuresAreForgottenInBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		for range 24 * 60 { // a day of guessing, once a minute
			_, _ = guess(t, th, "alice", "wrong", abroad)
			time.Sleep(time.Minute)
		}
		time.Sleep(15 * time.Minute)
		took, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Zero(t, took)
	})
}

func TestUnavailableIsNobodysFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) { return Identity{}, ErrUnavailable }), ThrottleOptions{})
		for range 100 {
			took, err := guess(t, th, "alice", "secret", home)
			require.ErrorIs(t, err, ErrUnavailable)
			require.Zero(t, took)
		}
	})
}

func TestADirectoryThatGivesNoAnswerIsUnavailableToWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) {
			time.Sleep(time.Hour)
			return Identity{}, ErrUnavailable
		}), ThrottleOptions{})
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { _, _ = guess(t, th, "alice", "secret", home) })
		}
		synctest.Wait()
		took, err := guess(t, th, "alice", "secret", home)
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrTooMany)
		require.Equal(t, 4*time.Second, took)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = th.Authenticate(ctx, Credentials{User: "alice", Remote: home})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		all.Wait()
	})
}

func TestFailuresBehindATrustedAddressCountForTheUserOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{Trusted: func(a netip.Addr) bool { return a == home }})
		for i := range 1000 {
			took, err := guess(t, th, fmt.Sprint("user", i), "wrong", home)
			require.ErrorIs(t, err, ErrBadCredentials)
			require.Zero(t, took)
		}
		require.Zero(t, th.networks.Len())
	})
}

func TestThrottleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			if c.Password == "right" {
				return Identity{User: c.User}, nil
			}
			return Identity{}, ErrBadCredentials
		}), ThrottleOptions{Size: 100})
		for i := range 1000 {
			_, _ = guess(t, th, fmt.Sprint("bad", i), "wrong", somewhere(i))
			_, _ = guess(t, th, fmt.Sprint("good", i), "right", somewhere(i))
		}
		for _, n := range []int{th.users.Len(), th.networks.Len(), th.known.Len()} {
			require.Equal(t, 100, n)
		}
		_, err := th.Authenticate(t.Context(), Credentials{User: string(make([]byte, maxWord+1))})
		require.ErrorIs(t, err, ErrBadCredentials)
	})
}

func TestThrottlesOverSeveralAuthenticatorsCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) { return Identity{}, ErrBadCredentials })
		imap := NewThrottle(never, ThrottleOptions{UserFailures: 2, Delay: time.Hour, Longest: time.Hour})
		pop3 := imap.Over(alice)
		c := Credentials{User: "alice", Password: "secret", Remote: netip.MustParseAddr("192.0.2.1")}
		for range 3 {
			_, _ = imap.Authenticate(t.Context(), c)
		}
		_, err := pop3.Authenticate(t.Context(), c)
		require.ErrorIs(t, err, ErrTooMany)
		c.User, c.Remote = "bob", netip.MustParseAddr("192.0.2.2")
		_, err = pop3.Authenticate(t.Context(), c)
		require.ErrorIs(t, err, ErrBadCredentials, "alice's own Authenticator is asked")
	})
}
