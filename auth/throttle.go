package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ThrottleOptions adjust a Throttle. The zero value of each field is a default.
type ThrottleOptions struct {
	Free    int              // failures of a user or a network before it is slowed down; default 5
	Delay   time.Duration    // after that many; doubled by each further failure; default one second
	Longest time.Duration    // of a delay; default 15 minutes
	Forget  time.Duration    // without a failure until the count begins anew; default one hour
	Size    int              // users and networks, each, that are remembered; default 100,000
	Now     func() time.Time // the clock; default time.Now
}

func (o ThrottleOptions) withDefaults() ThrottleOptions {
	set := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	set(&o.Delay, time.Second)
	set(&o.Longest, 15*time.Minute)
	set(&o.Forget, time.Hour)
	if o.Free == 0 {
		o.Free = 5
	}
	if o.Size == 0 {
		o.Size = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Throttle is an Authenticator that slows guessing down: failures are counted
// by user and by network (an IPv4 address, an IPv6 /64), and while either
// must wait, every attempt is ErrTooMany without being looked at. A user who
// has logged in from a network before may still log in from there while his
// name is being guessed from elsewhere.
type Throttle struct {
	next Authenticator
	o    ThrottleOptions

	mu       sync.Mutex
	users    counts
	networks counts
	known    map[knownPair]time.Time // when a user last logged in from a network
}

type knownPair struct {
	user    string
	network netip.Prefix
}

// NewThrottle returns a Throttle over next.
func NewThrottle(next Authenticator, o ThrottleOptions) *Throttle {
	return &Throttle{next: next, o: o.withDefaults(), users: make(counts), networks: make(counts), known: make(map[knownPair]time.Time)}
}

// Unwrap returns the Authenticator that the throttle asks.
func (t *Throttle) Unwrap() Authenticator { return t.next }

// Authenticate asks, unless the user or the network must wait.
func (t *Throttle) Authenticate(ctx context.Context, c Credentials) (Identity, error) {
	pair := knownPair{throttleKey(c.User), networkOf(c.Remote)}
	if !t.admit(pair) {
		return Identity{}, ErrTooMany
	}
	id, err := t.next.Authenticate(ctx, c)
	switch {
	case err == nil:
		t.succeeded(pair)
	case errors.Is(err, ErrBadCredentials), errors.Is(err, ErrDisabled):
		t.failed(pair)
	}
	return id, err
}

// throttleKey makes one key of the ways to write a name: letter case and a
// sub-address don't give another try.
func throttleKey(user string) string {
	user = strings.ToLower(strings.TrimSpace(user))
	local, domain, _ := strings.Cut(user, "@")
	local, _, _ = strings.Cut(local, "+")
	if len(local)+len(domain) > 512 {
		return "" // nobody's name: all such share a count
	}
	return local + "@" + domain
}

func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func (t *Throttle) admit(pair knownPair) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Now()
	if now.Before(t.networks[pair.network.String()].until) {
		return false
	}
	if _, ok := t.known[pair]; ok {
		return true
	}
	return !now.Before(t.users[pair.user].until)
}

func (t *Throttle) succeeded(pair knownPair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.users, pair.user)
	if len(t.known) >= t.o.Size {
		for old := range t.known { // any: the map is as large as it may be
			delete(t.known, old)
			break
		}
	}
	t.known[pair] = t.o.Now()
}

func (t *Throttle) failed(pair knownPair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users.fail(pair.user, &t.o)
	t.networks.fail(pair.network.String(), &t.o)
}

// counts are the failures of users or of networks.
type counts map[string]count

type count struct {
	failures int
	last     time.Time
	until    time.Time // every attempt before this is refused
}

func (c counts) fail(key string, o *ThrottleOptions) {
	now := o.Now()
	n := c[key]
	if now.Sub(n.last) >= o.Forget {
		n = count{}
	}
	n.failures++
	n.last = now
	if over := n.failures - o.Free; over >= 0 {
		delay := o.Delay << min(over, 30)
		if delay <= 0 || delay > o.Longest {
			delay = o.Longest
		}
		n.until = now.Add(delay)
	}
	if _, ok := c[key]; !ok && len(c) >= o.Size {
		c.makeRoom(o, now)
	}
	c[key] = n
}

// makeRoom forgets what has expired and, when nothing has, any one entry.
func (c counts) makeRoom(o *ThrottleOptions, now time.Time) {
	looked := 0
	for key, n := range c {
		if now.Sub(n.last) >= o.Forget {
			delete(c, key)
		}
		if looked++; looked == 100 {
			break
		}
	}
	for key := range c {
		if len(c) < o.Size {
			return
		}
		delete(c, key)
	}
}
