package listener

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIPSetNotations(t *testing.T) {
	s := MustParseIPSet("192.0.2.1", "198.51.100.0/24", "10.0.0.0/255.255.0.0", "203.0.113.5-203.0.113.9", "2001:db8::/32", "::1")
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.2": false, "198.51.100.255": true, "198.51.101.0": false,
		"10.0.255.255": true, "10.1.0.0": false, "203.0.113.5": true, "203.0.113.9": true, "203.0.113.10": false,
		"2001:db8:ffff::1": true, "2001:db9::": false, "::1": true, "::ffff:192.0.2.1": true,
	} {
		require.Equal(t, want, s.Contains(netip.MustParseAddr(addr)), addr)
	}
	text, err := s.MarshalText()
	require.NoError(t, err)
	var again IPSet
	require.NoError(t, again.UnmarshalText(text))
	require.Equal(t, s, again)
}

func TestIPSetRefusesNonsense(t *testing.T) {
	for _, item := range []string{"", "host", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "10.0.0.9-10.0.0.1", "::1-10.0.0.1", "10.0.0.1-"} {
		_, err := ParseIPSet(item)
		require.Error(t, err, item)
	}
}

func rule(a Action, priority int, items ...string) Rule {
	return Rule{Prefixes: MustParseIPSet(items...), Action: a, Priority: priority}
}

func TestDecide(t *testing.T) {
	all := "0.0.0.0-255.255.255.255"
	addr := netip.MustParseAddr("192.0.2.7")
	for name, c := range map[string]struct {
		levels [][]Rule
		want   Action
	}{
		"nothing matches: allowed":            {nil, Allow},
		"only a deny rule":                    {[][]Rule{{rule(Deny, 5, all)}}, Deny},
		"only an allow rule":                  {[][]Rule{{rule(Allow, 5, all)}}, Allow},
		"the lower number wins: allow":        {[][]Rule{{rule(Deny, 5, all), rule(Allow, 4, "192.0.2.0/24")}}, Allow},
		"the lower number wins: deny":         {[][]Rule{{rule(Deny, 3, all), rule(Allow, 4, "192.0.2.0/24")}}, Deny},
		"equal numbers: deny":                 {[][]Rule{{rule(Allow, 5, all), rule(Deny, 5, all)}}, Deny},
		"listener before service":             {[][]Rule{{rule(Allow, 9, all)}, {rule(Deny, 1, all)}}, Allow},
		"next level passes on":                {[][]Rule{{rule(NextLevel, 9, all)}, {rule(Deny, 1, all)}}, Deny},
		"no match on the listener falls down": {[][]Rule{{rule(Allow, 1, "10.0.0.0/8")}, {rule(Deny, 1, all)}}, Deny},
		"a disabled rule matches nothing":     {[][]Rule{{{Prefixes: MustParseIPSet(all), Action: Deny, Disabled: true}}}, Allow},
	} {
		require.Equal(t, c.want, Decide(addr, c.levels...).Action, name)
	}
}

func TestAdmitNamesTheLimitThatRefuses(t *testing.T) {
	now := time.Unix(1000, 0)
	l := Limits{Connections: 10, NewConnections: 20, Interval: time.Minute, PeerConnections: 3, PeerNew: 5, PeerInterval: time.Minute}
	for want, c := range map[string]struct{ all, peer Usage }{
		"":                {Usage{Open: 9, New: 19, Since: now}, Usage{Open: 2, New: 4, Since: now}},
		"Connections":     {Usage{Open: 10}, Usage{}},
		"NewConnections":  {Usage{New: 20, Since: now}, Usage{}},
		"PeerConnections": {Usage{}, Usage{Open: 3}},
		"PeerNew":         {Usage{}, Usage{New: 5, Since: now}},
	} {
		err := Admit(l, c.all, c.peer, now.Add(59*time.Second))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, want, refusal.Limit)
	}
	require.NoError(t, Admit(l, Usage{New: 20, Since: now}, Usage{New: 5, Since: now}, now.Add(time.Minute)), "the interval is over")
}

func TestLimitsOfAllowRuleCoverItsSetAndRecover(t *testing.T) {
	f, now := newFlows(), time.Unix(1000, 0)
	l := Limits{Connections: 2, PeerNew: 2}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	key := flowKey(&Rule{})
	release, err := f.enter(key, l, one, now)
	require.NoError(t, err)
	_, err = f.enter(key, l, two, now)
	require.NoError(t, err)
	_, err = f.enter(key, l, two, now)
	require.Error(t, err, "two are open in the set")
	release()
	_, err = f.enter(key, l, one, now)
	require.NoError(t, err)
	_, err = f.enter(flowKey(nil), l, one, now)
	require.NoError(t, err, "another key counts by itself")
}

func TestForgottenPeersCostNothing(t *testing.T) {
	f, now := newFlows(), time.Unix(1000, 0)
	for i := range 1000 {
		release, err := f.enter(nil, Limits{}, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
		require.NoError(t, err)
		release()
	}
	_, err := f.enter(nil, Limits{}, netip.MustParseAddr("192.0.2.1"), now.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, f.byKey[nil].peers, 1)
}

func TestIPv6PeersAreCountedByNetwork(t *testing.T) {
	f, now := newFlows(), time.Unix(1000, 0)
	_, err := f.enter(nil, Limits{PeerConnections: 1}, netip.MustParseAddr("2001:db8::1"), now)
	require.NoError(t, err)
	_, err = f.enter(nil, Limits{PeerConnections: 1}, netip.MustParseAddr("2001:db8::2"), now)
	require.Error(t, err)
}

func FuzzParseIPSet(f *testing.F) {
	f.Add("192.0.2.1")
	f.Add("10.0.0.0/255.255.0.0")
	f.Add("::1-::ff")
	f.Fuzz(func(t *testing.T, item string) {
		s, err := ParseIPSet(item)
		if err != nil {
			return
		}
		require.True(t, s.Contains(s.ranges[0].from))
		require.True(t, s.Contains(s.ranges[0].to))
	})
}
