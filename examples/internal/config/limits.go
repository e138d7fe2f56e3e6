package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/listener"
)

// Limits bound the connections of a service, or of those whom a rule allows. A
// number that is 0, as where nothing is said, is no limit.
type Limits struct {
	MaxConnections         int      `toml:"max_connections"`               // at the same time, all peers together
	MaxIntervalConnections int      `toml:"max_interval_connections"`      // that begin in an interval, all peers together
	Interval               Duration `toml:"interval"`                      // 0: a minute
	PeerConnections        int      `toml:"peer_max_connections"`          // at the same time, of one peer
	PeerIntervalConns      int      `toml:"peer_max_interval_connections"` // that begin in an interval, of one peer
	PeerInterval           Duration `toml:"peer_interval"`                 // 0: a minute
}

// validate refuses what can't be meant.
func (l *Limits) validate() error {
	for name, n := range map[string]int{
		"max_connections": l.MaxConnections, "max_interval_connections": l.MaxIntervalConnections, "interval": int(l.Interval),
		"peer_max_connections": l.PeerConnections, "peer_max_interval_connections": l.PeerIntervalConns, "peer_interval": int(l.PeerInterval),
	} {
		if n < 0 {
			return fmt.Errorf("%s is less than 0, which is no limit", name)
		}
	}
	if l.Interval != 0 && l.MaxIntervalConnections == 0 || l.PeerInterval != 0 && l.PeerIntervalConns == 0 {
		return errors.New("an interval needs the number of connections that may begin in it")
	}
	return nil
}

// validateLimits refuses those of who does not come in.
func (r *Rule) validateLimits() error {
	if r.Action == "deny" && r.Limits != (Limits{}) {
		return errors.New("one that denies has no limits")
	}
	return r.validate()
}

func (l *Limits) limits() listener.Limits {
	return listener.Limits{
		Connections: l.MaxConnections, NewConnections: l.MaxIntervalConnections, Interval: time.Duration(l.Interval),
		PeerConnections: l.PeerConnections, PeerNew: l.PeerIntervalConns, PeerInterval: time.Duration(l.PeerInterval),
	}
}
