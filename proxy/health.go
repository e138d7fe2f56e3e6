package proxy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// Health knows which back ends answer, each by its host and port, from what
// becomes of the logins at them: it makes no connections of its own.
//
// A back end is down after so many Failures within the Window without a login
// between, or after one that took a second while nothing else succeeded: the
// next would only wait again. Failures to connect count alone. A failure after
// the back end was told who the client is, or would log in, may be that
// client's fault; those count only when clients of two networks (/24, /48) have
// them, and half of the Failures of each at most.
//
// Nobody waits for a back end that is down: who is trying is cut short, who
// comes fails at once. Once an Interval one login is let through, one at a
// time. When it is served, a growing share of the others follows, until all do
// after the Ramp.
//
// The zero value is ready. Set its fields before its first use. It remembers
// the 4,096 back ends that were used last.
type Health struct {
	Failures int           // 0: 5
	Window   time.Duration // 0: 30 seconds
	Interval time.Duration // 0: 5 seconds
	Ramp     time.Duration // 0: 10 seconds
	Logger   *slog.Logger  // told when a back end is down and when it is back; nil: slog.Default

	mu    sync.Mutex
	hosts *lru.Map[string, *hostHealth]
}

const (
	maxHosts = 4096
	slow     = time.Second // a failure that keeps who comes next waiting
)

// HealthState is what Health thinks of a back end.
type HealthState int

// The states.
const (
	Up         HealthState = iota
	Down                   // no login is tried but one an interval
	Recovering             // a growing share of the logins is tried
)

// String returns the state's name.
func (s HealthState) String() string { return [...]string{"up", "down", "recovering"}[s] }

// HostHealth is what is known of a back end.
type HostHealth struct {
	Address  string // host:port
	State    HealthState
	Since    time.Time // when that state began, or the back end was first used
	Failures int       // since a login was served
	Reason   string    // of the latest of these
	Next     time.Time // while it is down: when the next login may be let through
}

// List returns what is known of each back end, by address.
func (h *Health) List() []HostHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hosts == nil {
		return nil
	}
	all := make([]HostHealth, 0, h.hosts.Len())
	for _, e := range h.hosts.All() {
		e.ripen(time.Now(), h.ramp())
		all = append(all, e.HostHealth)
	}
	slices.SortFunc(all, func(a, b HostHealth) int { return strings.Compare(a.Address, b.Address) })
	return all
}

func (h *Health) failures() int           { return cmp.Or(h.Failures, 5) }
func (h *Health) window() time.Duration   { return cmp.Or(h.Window, 30*time.Second) }
func (h *Health) interval() time.Duration { return cmp.Or(h.Interval, 5*time.Second) }
func (h *Health) ramp() time.Duration     { return cmp.Or(h.Ramp, 10*time.Second) }

// start asks to try a back end for a client. ErrUnavailable when it is down.
// cut is called, with a cause, when the back end is found to be down before
// attempt.connected, and without one when the attempt is over. A nil Health
// lets everything be tried.
func (h *Health) start(cut context.CancelCauseFunc, address string, client netip.Addr) (*attempt, error) {
	if h == nil {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	e := h.host(address, now)
	a := &attempt{health: h, host: e, network: networkOf(client), began: now, cut: cut}
	if err := e.admit(a, now, h); err != nil {
		return nil, err
	}
	e.trying[a] = struct{}{}
	return a, nil
}

func (h *Health) host(address string, now time.Time) *hostHealth {
	if h.hosts == nil {
		h.hosts = lru.New[string, *hostHealth](maxHosts)
	}
	e, ok := h.hosts.Get(address)
	if !ok {
		e = &hostHealth{HostHealth: HostHealth{Address: address, Since: now}, trying: make(map[*attempt]struct{})}
		h.hosts.Put(address, e)
	}
	return e
}

func (h *Health) log() *slog.Logger {
	if h.Logger == nil {
		return slog.Default()
	}
	return h.Logger
}

// networkOf returns what counts as one network of clients. The zero Prefix
// stands for no client, so an unknown one has another.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil || !a.IsValid() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return p
}

// down is the error for who may not try.
func (e *hostHealth) down() error {
	return fmt.Errorf("%w: %s is %s: %s", ErrUnavailable, e.Address, e.State, e.Reason)
}
