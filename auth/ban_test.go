package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// hammer guesses n times and returns how many guesses were looked at.
func hammer(t *testing.T, th *Throttle, n int, next func(i int) (user string, from netip.Addr)) (asked int) {
	t.Helper()
	for i := range n {
		user, from := next(i)
		if _, err := guess(t, th, user, fmt.Sprint("guess ", i), from); errors.Is(err, ErrBadCredentials) {
			asked++
		} else {
			require.ErrorIs(t, err, ErrTooMany)
		}
	}
	return asked
}

func TestA13ANetworkThatGoesOnIsBannedAndAKnownUserStillGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Empty(t, th.Bans())
		require.Less(t, hammer(t, th, 10_000, func(i int) (string, netip.Addr) { return fmt.Sprint("user", i), home }), 30)

		bans := th.Bans()
		require.Len(t, bans, 1)
		require.Equal(t, netip.PrefixFrom(home, 32), bans[0].Network)
		require.Empty(t, bans[0].User)
		left := time.Until(bans[0].Until)
		require.LessOrEqual(t, left, 15*time.Minute)
		took, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Zero(t, took, "a known user")

		time.Sleep(left - 5*time.Second)
		took, err = guess(t, th, "newcomer", "x", home)
		require.ErrorIs(t, err, ErrTooMany, "until its end")
		require.Zero(t, took, "and at once")
		time.Sleep(5 * time.Second)
		_, err = guess(t, th, "newcomer", "x", home)
		require.ErrorIs(t, err, ErrBadCredentials, "a ban ends")
		require.Empty(t, th.Bans())
	})
}

func TestA13AnAccountThatManyNetworksGuessIsBannedAndItsKnownNetworkGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		require.Less(t, hammer(t, th, 10_000, func(i int) (string, netip.Addr) { return "alice", somewhere(i) }), 20)
		bans := th.Bans()
		require.Len(t, bans, 1)
		require.Equal(t, "alice", bans[0].User)
		_, err = guess(t, th, "alice", "secret", abroad)
		require.ErrorIs(t, err, ErrTooMany)
		_, err = guess(t, th, "alice", "secret", home)
		require.NoError(t, err)
		_, err = guess(t, th, "bob", "x", abroad)
		require.ErrorIs(t, err, ErrBadCredentials, "other accounts are not touched")

		require.False(t, th.LiftUser("nobody"))
		require.True(t, th.LiftUser("alice"))
		require.Empty(t, th.Bans())
		_, err = guess(t, th, "alice", "secret", abroad)
		require.NoError(t, err)
	})
}

func TestA13NetworksOfOneIPv6SiteAreSlowedDownTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		_, err := guess(t, th, "alice", "secret", netip.MustParseAddr("2001:db8:1:1::1"))
		require.NoError(t, err)
		asked := hammer(t, th, 10_000, func(i int) (string, netip.Addr) { // each from a network of its own
			return fmt.Sprint("user", i), netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i))
		})
		require.Less(t, asked, 120)
		took, err := guess(t, th, "alice", "secret", netip.MustParseAddr("2001:db8:1:1::2"))
		require.NoError(t, err, "where he is known")
		require.Zero(t, took)
		_, err = guess(t, th, "bob", "x", netip.MustParseAddr("2001:db8:2::1"))
		require.ErrorIs(t, err, ErrBadCredentials, "another site")
		_, err = guess(t, th, "bob", "x", netip.MustParseAddr("2001:db8:1:ffff::1"))
		require.ErrorIs(t, err, ErrTooMany)
		require.Zero(t, th.Lift(netip.MustParsePrefix("2001:db8:1::/48")), "a site is slowed down, not banned")
		_, err = guess(t, th, "bob", "x", netip.MustParseAddr("2001:db8:1:ffff::1"))
		require.ErrorIs(t, err, ErrBadCredentials)
	})
}

func TestLiftEndsTheBansOfAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		for n, from := range []netip.Addr{home, abroad, netip.MustParseAddr("2001:db8::1")} {
			hammer(t, th, 200, func(i int) (string, netip.Addr) { return fmt.Sprint("user", n, i), from })
			time.Sleep(time.Second)
		}
		bans := th.Bans()
		require.Len(t, bans, 3)
		require.True(t, bans[0].Until.After(bans[1].Until) && bans[1].Until.After(bans[2].Until), "the last to end first")
		require.Zero(t, th.Lift(netip.Prefix{}))
		require.Equal(t, 1, th.Lift(netip.MustParsePrefix("192.0.2.0/24")))
		_, err := guess(t, th, "somebody", "x", home)
		require.ErrorIs(t, err, ErrBadCredentials)
		_, err = guess(t, th, "somebody", "x", abroad)
		require.ErrorIs(t, err, ErrTooMany)
		require.Equal(t, 1, th.Lift(netip.MustParsePrefix("2001:db8::5/128")), "an address of a network")
		require.Equal(t, 1, th.Lift(netip.MustParsePrefix("0.0.0.0/0")))
		require.Empty(t, th.Bans())
	})
}

func TestBansCanBeSwitchedOffAndAreOfTheirWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := NewThrottle(alice, ThrottleOptions{BanAfter: -1})
		hammer(t, off, 10_000, func(int) (string, netip.Addr) { return "alice", home })
		require.Empty(t, off.Bans())

		th := NewThrottle(alice, ThrottleOptions{BanAfter: 10, BanWindow: time.Minute})
		for range 100 { // a client with an old password, a few times in a minute
			_, err := guess(t, th, "bob", "old", home)
			require.ErrorIs(t, err, ErrBadCredentials)
			time.Sleep(70 * time.Second)
		}
		require.Empty(t, th.Bans())
	})
}

func TestProofsThatNameNobodyCountForTheirNetworkAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Authenticator: AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			if c.Proof == Token("good") {
				return Identity{User: "alice"}, nil
			}
			return Identity{}, ErrBadCredentials
		})}
		th := NewThrottle(below, ThrottleOptions{Trusted: func(a netip.Addr) bool { return a == abroad }})
		show := func(token Token, from netip.Addr) error {
			_, err := th.Authenticate(t.Context(), Credentials{Proof: token, Remote: from})
			return err
		}
		for i := range 1000 { // from many networks
			require.ErrorIs(t, show("bad", somewhere(i)), ErrBadCredentials)
		}
		require.Zero(t, th.users.Len(), "nobody was named")
		require.NoError(t, show("good", home))
		require.Zero(t, th.known.Len())
		asked := below.asked.Load()
		for range 1000 {
			_ = show("bad", home)
		}
		require.Less(t, below.asked.Load()-asked, int32(30))
		require.ErrorIs(t, show("good", home), ErrTooMany)
		for range 1000 {
			require.ErrorIs(t, show("bad", abroad), ErrBadCredentials, "a front end's address counts for nobody")
		}
		require.NoError(t, show("good", abroad))
	})
}

func TestA14ARefusalTellsNothingOfWhoExistsOrWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{})
		refusal := func(user string, from netip.Addr) string {
			took, err := guess(t, th, user, "secret", from)
			require.ErrorIs(t, err, ErrTooMany)
			require.Zero(t, took)
			return err.Error()
		}
		hammer(t, th, 10, func(int) (string, netip.Addr) { return "alice", abroad })
		slowed := refusal("alice", somewhere(1))
		hammer(t, th, 1000, func(i int) (string, netip.Addr) { return fmt.Sprint("user", i), home })
		hammer(t, th, 1000, func(i int) (string, netip.Addr) { return "nobody", somewhere(i) })
		require.Len(t, th.Bans(), 2)
		for user, from := range map[string]netip.Addr{"alice": home, "mallory": home, "nobody": abroad} {
			require.Equal(t, slowed, refusal(user, from))
		}
	})
}

func TestBansAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(alice, ThrottleOptions{Size: 10, BanAfter: 1})
		for i := range 1000 {
			_, _ = guess(t, th, fmt.Sprint("user", i), "x", netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", i)))
		}
		require.Len(t, th.Bans(), 20)
		require.Equal(t, 10, th.sites.Len())
	})
}
