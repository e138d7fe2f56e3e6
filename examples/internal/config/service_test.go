package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/listener"
)

func serviceOf(t *testing.T, text string) (Service, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.toml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	s := NewService(100, 10, "127.0.0.1:143", "127.0.0.1:993")
	return s, Load(file, &s, func(string) error { return s.Validate() })
}

func TestAnAllowRuleMayHaveLimitsOfItsOwn(t *testing.T) {
	s, err := serviceOf(t, `
max_interval_connections = 50
interval = "10s"
[[rule]]
addresses = "192.0.2.0/24"
action = "allow"
max_connections = 1000
max_interval_connections = 500
interval = "1s"
peer_max_connections = 400
peer_max_interval_connections = 300
peer_interval = "2s"
[[rule]]
addresses = "198.51.100.0/24"
action = "allow"
[[rule]]
addresses = "192.0.2.7"
action = "deny"
priority = -1
`)
	require.NoError(t, err)
	ofService := listener.Limits{Connections: 100, NewConnections: 50, Interval: 10 * time.Second, PeerConnections: 10}
	all := s.Listeners(nil, nil)
	require.Len(t, all, 2)
	for _, l := range all {
		require.Equal(t, ofService, l.Limits)
		decide := func(address string) listener.Decision {
			return listener.Decide(netip.MustParseAddr(address), nil, l.Service)
		}
		require.Equal(t, listener.Limits{
			Connections: 1000, NewConnections: 500, Interval: time.Second,
			PeerConnections: 400, PeerNew: 300, PeerInterval: 2 * time.Second,
		}, decide("192.0.2.1").Rule.Limits)
		require.Zero(t, decide("198.51.100.1").Rule.Limits, "those of the service")
		require.Equal(t, listener.Deny, decide("192.0.2.7").Action)
	}
}

func TestLimitsThatCanNotBeMeantAreRefused(t *testing.T) {
	rule := "[[rule]]\naddresses = \"192.0.2.1\"\naction = "
	for text, says := range map[string]string{
		"peer_max_connections = -1\n":                 "peer_max_connections is less than 0",
		"interval = \"1s\"\n":                         "an interval needs",
		rule + "\"allow\"\nmax_connections = -5\n":    "rule: max_connections is less than 0",
		rule + "\"allow\"\npeer_interval = \"1s\"\n":  "rule: an interval needs",
		rule + "\"deny\"\npeer_max_connections = 5\n": "rule: one that denies has no limits",
		rule + "\"perhaps\"\n":                        "\"perhaps\"",
		rule + "\"allow\"\nmost = 3\n":                "unknown key",
	} {
		_, err := serviceOf(t, text)
		require.ErrorContains(t, err, says, text)
	}
}
