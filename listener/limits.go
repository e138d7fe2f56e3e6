package listener

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Limits bound connections. A zero number is no limit; a zero interval is a
// minute.
type Limits struct {
	Connections     int           // simultaneous, all peers together
	NewConnections  int           // accepted per Interval, all peers together
	Interval        time.Duration //
	PeerConnections int           // simultaneous, of one peer
	PeerNew         int           // accepted per PeerInterval, of one peer
	PeerInterval    time.Duration //
}

// Usage is what has been counted for a set of connections.
type Usage struct {
	Open  int       // simultaneous connections now
	New   int       // accepted in the running interval
	Since time.Time // when that interval began
}

// Refusal says which limit refuses a connection.
type Refusal struct {
	Limit string // the name of the field of Limits
	Max   int
}

// Error names the limit.
func (r *Refusal) Error() string { return fmt.Sprintf("limit %s of %d", r.Limit, r.Max) }

// Admit judges one more connection by what was counted so far for all peers
// and for its own peer. It returns nil or a *Refusal.
func Admit(l Limits, all, peer Usage, now time.Time) error {
	switch {
	case l.Connections > 0 && all.Open >= l.Connections:
		return &Refusal{"Connections", l.Connections}
	case l.PeerConnections > 0 && peer.Open >= l.PeerConnections:
		return &Refusal{"PeerConnections", l.PeerConnections}
	case l.NewConnections > 0 && all.within(interval(l.Interval), now) >= l.NewConnections:
		return &Refusal{"NewConnections", l.NewConnections}
	case l.PeerNew > 0 && peer.within(interval(l.PeerInterval), now) >= l.PeerNew:
		return &Refusal{"PeerNew", l.PeerNew}
	}
	return nil
}

func interval(d time.Duration) time.Duration {
	if d == 0 {
		return time.Minute
	}
	return d
}

// within returns how many connections the running interval has seen.
func (u Usage) within(d time.Duration, now time.Time) int {
	if now.Sub(u.Since) >= d {
		return 0
	}
	return u.New
}

// add counts an accepted connection; a new interval begins with it when the
// last one is over.
func (u *Usage) add(d time.Duration, now time.Time) {
	if now.Sub(u.Since) >= d {
		u.Since, u.New = now, 0
	}
	u.Open++
	u.New++
}

// flowKey names what is counted together: nil the listener, else one rule.
type flowKey *Rule

// flows counts the connections of a listener.
type flows struct {
	mu    sync.Mutex
	byKey map[flowKey]*flow
}

type flow struct {
	all   Usage
	peers map[netip.Prefix]*Usage
	swept time.Time
}

func newFlows() *flows { return &flows{byKey: make(map[flowKey]*flow)} }

// enter counts a connection in, or refuses it. release counts it out.
func (f *flows) enter(key flowKey, l Limits, addr netip.Addr, now time.Time) (release func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.byKey[key]
	if fl == nil {
		fl = &flow{peers: make(map[netip.Prefix]*Usage), swept: now}
		f.byKey[key] = fl
	}
	fl.sweep(interval(l.PeerInterval), now)
	id := peerOf(addr)
	peer := fl.peers[id]
	if peer == nil {
		peer = &Usage{}
	}
	if err := Admit(l, fl.all, *peer, now); err != nil {
		return nil, err
	}
	fl.peers[id] = peer
	fl.all.add(interval(l.Interval), now)
	peer.add(interval(l.PeerInterval), now)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		fl.all.Open--
		peer.Open--
	}, nil
}

// sweep forgets, once per interval, the peers that no longer count.
func (fl *flow) sweep(d time.Duration, now time.Time) {
	if now.Sub(fl.swept) < d {
		return
	}
	fl.swept = now
	for id, u := range fl.peers {
		if u.Open == 0 && u.within(d, now) == 0 {
			delete(fl.peers, id)
		}
	}
}

// peerOf returns what counts as one peer: an IPv4 address, or the /64 of an
// IPv6 address, of which one host commonly has all.
func peerOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
