package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	errTest = errors.New("connection reset")
	clientA = netip.MustParseAddr("192.0.2.1")
	clientB = netip.MustParseAddr("198.51.100.1")
)

const testHost = "backend.example.test:143"

// try begins an attempt that must be let through.
func try(t *testing.T, h *Health, client netip.Addr) (context.Context, *attempt) {
	t.Helper()
	ctx, cut := context.WithCancelCause(t.Context())
	a, err := h.start(cut, testHost, client)
	require.NoError(t, err)
	a.begin()
	return ctx, a
}

func requireDown(t *testing.T, h *Health) {
	t.Helper()
	_, err := h.start(nil, testHost, clientB)
	require.ErrorIs(t, err, ErrUnavailable)
}

func quietHealth() *Health { return &Health{Logger: slog.New(slog.DiscardHandler)} }

// breakDown makes a back end down by failures to connect.
func breakDown(t *testing.T, h *Health) {
	t.Helper()
	for range h.failures() {
		_, a := try(t, h, clientA)
		a.failed(beforeIdentity, errTest)
	}
	require.Equal(t, Down, h.List()[0].State)
}

func TestP35FirstClientWaitsFollowersFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		_, first := try(t, h, clientA)
		time.Sleep(9 * time.Second)
		follower, late := try(t, h, clientB)
		time.Sleep(time.Second)
		first.failed(beforeIdentity, errTest) // after its budget of 10 seconds, while nothing succeeded
		require.ErrorIs(t, context.Cause(follower), ErrUnavailable, "who is trying is cut short")
		late.failed(beforeIdentity, errTest) // not counted twice
		require.Equal(t, 1, h.List()[0].Failures)
		requireDown(t, h)

		for range 3 { // one probe per interval
			time.Sleep(h.interval() - 1)
			requireDown(t, h)
			time.Sleep(time.Nanosecond)
			_, probe := try(t, h, clientA)
			requireDown(t, h)
			probe.failed(beforeIdentity, errTest)
			requireDown(t, h)
		}

		time.Sleep(h.interval()) // it is back: recovery within one interval
		_, probe := try(t, h, clientA)
		probe.connected()
		requireDown(t, h)
		probe.loggedIn()
		require.Equal(t, Recovering, h.List()[0].State)
		_, next := try(t, h, clientB)
		next.end()
	})
}

func TestX14A1000LoginsToADeadBackEndMakeOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		breakDown(t, h)
		for range 4 {
			time.Sleep(h.interval())
			var probes []*attempt
			for range 1000 {
				if a, err := h.start(func(error) {}, testHost, clientB); err == nil {
					probes = append(probes, a)
				}
			}
			require.Len(t, probes, 1)
			probes[0].failed(beforeIdentity, errTest)
		}
	})
}

func TestX14RecoveryIsSpreadOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		breakDown(t, h)
		time.Sleep(h.interval())
		_, probe := try(t, h, clientA)
		probe.loggedIn()
		before := 0
		for second := range 10 {
			admitted := 0
			for range 1000 {
				if a, err := h.start(func(error) {}, testHost, clientB); err == nil {
					admitted++
					a.loggedIn()
				}
			}
			require.InDelta(t, 100+90*second, admitted, 5)
			require.Greater(t, admitted, before)
			before = admitted
			time.Sleep(time.Second)
		}
		require.Equal(t, Up, h.List()[0].State)
		for range 1000 {
			_, a := try(t, h, clientB)
			a.loggedIn()
		}
	})
}

func TestFailureToConnectWhileRecoveringIsDownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		breakDown(t, h)
		time.Sleep(h.interval())
		_, probe := try(t, h, clientA)
		probe.loggedIn()
		_, a := try(t, h, clientA)
		a.failed(beforeIdentity, errTest)
		requireDown(t, h)
	})
}

func TestP36X15FailuresAfterTheIdentityCountOnlyFromTwoNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		for i := range 100 { // all of one /24
			_, a := try(t, h, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
			a.connected()
			a.failed(afterIdentity, errTest)
		}
		require.Equal(t, Up, h.List()[0].State)
		_, a := try(t, h, clientB)
		a.failed(afterIdentity, errTest)
		require.Equal(t, Up, h.List()[0].State, "one failure of another network might be its own fault")
		_, a = try(t, h, clientB)
		a.failed(afterIdentity, errTest)
		require.Equal(t, Down, h.List()[0].State)
	})
}

func TestP36AnIPv6SiteIsOneNetwork(t *testing.T) {
	h := quietHealth()
	for i := range 20 {
		_, a := try(t, h, netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)))
		a.failed(afterIdentity, errTest)
	}
	require.Equal(t, Up, h.List()[0].State)
	require.NotEqual(t, networkOf(netip.MustParseAddr("2001:db8:1::1")), networkOf(netip.MustParseAddr("2001:db8:2::1")))
	require.True(t, networkOf(netip.Addr{}).IsValid())
}

func TestX15OneBannedClientCutsNobodyElseOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		for i := range 1000 {
			_, banned := try(t, h, clientA)
			banned.connected()
			banned.failed(afterIdentity, errTest)
			if i%100 == 0 {
				_, other := try(t, h, clientB)
				other.connected()
				if i%300 == 0 {
					other.failed(afterIdentity, errTest) // which happens
				} else {
					other.loggedIn()
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, Up, h.List()[0].State)
	})
}

func TestFailuresCountOnlyWithinTheWindowAndSinceALoginWasServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		for range 20 { // one in ten seconds is no outage
			_, a := try(t, h, clientA)
			a.failed(beforeIdentity, errTest)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(h.window())
		for range 20 {
			for range h.failures() - 1 {
				_, a := try(t, h, clientA)
				a.failed(beforeIdentity, errTest)
			}
			_, a := try(t, h, clientA)
			a.connected()
			a.end() // as after a wrong password: the back end has answered
		}
		require.Equal(t, Up, h.List()[0].State)
	})
}

func TestSlowFailureCountsOnceWhileOthersAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		_, slowOne := try(t, h, clientA)
		time.Sleep(5 * time.Second)
		_, other := try(t, h, clientB)
		other.loggedIn()
		time.Sleep(5 * time.Second)
		slowOne.failed(beforeIdentity, errTest)
		require.Equal(t, Up, h.List()[0].State)
	})
}

func TestProbeWithoutAVerdictLeavesItToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quietHealth()
		breakDown(t, h)
		time.Sleep(h.interval())
		_, probe := try(t, h, clientA)
		probe.end() // the client went away before it connected
		_, probe = try(t, h, clientA)
		requireDown(t, h)
		probe.failed(beforeIdentity, errTest)
		requireDown(t, h)
	})
}

func TestEachChangeOfStateIsOneLineAndListTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		h := &Health{Logger: slog.New(slog.NewTextHandler(&out, nil))}
		require.Empty(t, h.List())
		breakDown(t, h)
		for range 100 {
			requireDown(t, h)
		}
		down := h.List()[0]
		require.Equal(t, HostHealth{
			Address: testHost, State: Down, Since: time.Now(), Failures: 5,
			Reason: errTest.Error(), Next: time.Now().Add(h.interval()),
		}, down)
		time.Sleep(h.interval())
		_, a := try(t, h, clientA)
		a.loggedIn()
		time.Sleep(h.ramp())
		for range 100 {
			_, a := try(t, h, clientA)
			a.loggedIn()
		}
		require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
		require.Equal(t, "up", h.List()[0].State.String())
	})
}

func TestHealthRemembersABoundedNumberOfHosts(t *testing.T) {
	h := quietHealth()
	for i := range 2 * maxHosts {
		a, err := h.start(func(error) {}, fmt.Sprintf("host%d:143", i), clientA)
		require.NoError(t, err)
		a.failed(beforeIdentity, errors.New(strings.Repeat("x", 1000)))
	}
	require.Len(t, h.List(), maxHosts)
	require.Len(t, h.List()[0].Reason, 300)
}
