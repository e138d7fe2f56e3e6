package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// ThrottleOptions adjust a Throttle. A zero field means its default.
type ThrottleOptions struct {
	UserFailures    int           // failures of one account before it is slowed down; default 5
	NetworkFailures int           // failures from one network before it is slowed down; default 20: an office has one address
	Delay           time.Duration // after so many; doubled by each further failure; default half a second
	Longest         time.Duration // of a delay; default one minute
	Patience        time.Duration // an attempt that would have to wait longer is refused at once; default 4 seconds
	Forget          time.Duration // in this time one failure is forgotten; default one minute
	IPv4Bits        int           // of an address that name its network; default 32
	IPv6Bits        int           // likewise; default 64
	SiteBits        int           // of an IPv6 address that name a site of many networks; default 48
	SiteFailures    int           // failures from one site before it is slowed down; default 100
	BanAfter        int           // failures and refusals of an account, or of a network, within BanWindow before it is banned; default 100, negative: never
	BanWindow       time.Duration // default 10 minutes
	BanFor          time.Duration // how long a ban is; default 15 minutes
	Size            int           // accounts, networks, and pairs of them, each, that are remembered; default 65,536, some 300 octets each

	// Trusted tells of addresses behind which there are many users, as of
	// one's own front ends; nil: there are none. Their failures count for the
	// accounts alone.
	Trusted func(netip.Addr) bool
}

func (o ThrottleOptions) withDefaults() ThrottleOptions {
	o.UserFailures = orDefault(o.UserFailures, 5)
	o.NetworkFailures = orDefault(o.NetworkFailures, 20)
	o.Delay = orDefault(o.Delay, 500*time.Millisecond)
	o.Longest = orDefault(o.Longest, time.Minute)
	o.Patience = orDefault(o.Patience, 4*time.Second)
	o.Forget = orDefault(o.Forget, time.Minute)
	o.IPv4Bits = orDefault(o.IPv4Bits, 32)
	o.IPv6Bits = orDefault(o.IPv6Bits, 64)
	o.SiteBits = orDefault(o.SiteBits, 48)
	o.SiteFailures = orDefault(o.SiteFailures, 100)
	o.BanAfter = orDefault(o.BanAfter, 100)
	o.BanWindow = orDefault(o.BanWindow, 10*time.Minute)
	o.BanFor = orDefault(o.BanFor, 15*time.Minute)
	o.Size = orDefault(o.Size, 65_536)
	return o
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Throttle is an Authenticator that slows guessing down. Failures are counted
// by account, under whatever spelling (see Namer), by network, and by IPv6 site
// because whoever has one can come from 65,536 networks. After the first few of
// them each attempt waits, and the wait doubles; an attempt that would wait for
// longer than Patience is ErrTooMany at once. As many attempts run at the same
// time as failures are still free, so that guessing in parallel gains nothing.
//
// An account or a network that goes on regardless is banned: BanAfter failures
// and refusals within BanWindow, and for BanFor each attempt is ErrTooMany at
// once. Bans lists what is banned, Lift and LiftUser end bans early. ErrTooMany
// is one answer with one text, whatever the reason and whoever exists.
//
// An account that has logged in from a network is known there: its attempts
// from there have a count of their own, and are not held up while the account
// is being guessed from elsewhere, or other accounts from the same network, by
// bans neither. A known pair that fails as often as an account may is known no
// more.
//
// A Proof that names nobody, as a token or a certificate may be, counts for its
// network alone. Memory is bounded by Size: what was not heard of for the
// longest time is forgotten, bans included.
//
// Put a Throttle around a Cache, not into it, so that it learns of every
// success. Its clock is the system's; a test runs it in a bubble of
// testing/synctest.
type Throttle struct {
	next Authenticator
	o    ThrottleOptions
	*tallies
}

// tallies are what Throttles that belong together count.
type tallies struct {
	mu       sync.Mutex
	users    *lru.Map[string, *bucket]
	networks *lru.Map[netip.Prefix, *bucket]
	sites    *lru.Map[netip.Prefix, *bucket]
	known    *lru.Map[place, *bucket]
}

// place is an account and a network that it logs in from.
type place struct {
	user    string
	network netip.Prefix // the zero Prefix: not known, or trusted
}

// NewThrottle returns a Throttle over next.
func NewThrottle(next Authenticator, o ThrottleOptions) *Throttle {
	o = o.withDefaults()
	return &Throttle{next: next, o: o, tallies: &tallies{
		users: lru.New[string, *bucket](o.Size), known: lru.New[place, *bucket](o.Size),
		networks: lru.New[netip.Prefix, *bucket](o.Size), sites: lru.New[netip.Prefix, *bucket](o.Size),
	}}
}

// Over returns a Throttle over another Authenticator that counts together with
// t, for a service whose logins are checked elsewhere: who guesses in one is
// slowed down in all.
func (t *Throttle) Over(next Authenticator) *Throttle {
	return &Throttle{next: next, o: t.o, tallies: t.tallies}
}

// Unwrap returns the Authenticator that the throttle asks.
func (t *Throttle) Unwrap() Authenticator { return t.next }

// Authenticate waits its turn and asks. ErrTooMany when there is too long a
// wait; ErrUnavailable when earlier attempts get no answer.
func (t *Throttle) Authenticate(ctx context.Context, c Credentials) (Identity, error) {
	if len(c.User) > maxWord {
		return Identity{}, malformed("a name is too long")
	}
	p := place{user: accountName(ctx, t.next, c.User), network: t.network(c.Remote)}
	turn, err := t.wait(ctx, p)
	if err != nil {
		return Identity{}, err
	}
	outcome := neither
	defer func() { t.settle(p, turn, outcome) }()
	id, err := t.next.Authenticate(ctx, c)
	switch {
	case err == nil:
		outcome = succeeded
	case errors.Is(err, ErrBadCredentials), errors.Is(err, ErrDisabled):
		outcome = failed
	}
	return id, err
}

func (t *Throttle) network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || t.o.Trusted != nil && t.o.Trusted(a) {
		return netip.Prefix{}
	}
	bits := t.o.IPv4Bits
	if a.Is6() {
		bits = t.o.IPv6Bits
	}
	p, _ := a.Prefix(bits) // without an address's bits: the zero Prefix
	return p
}

// site returns the site of an IPv6 network; the zero Prefix when it is as small.
func (t *Throttle) site(network netip.Prefix) netip.Prefix {
	if !network.IsValid() || !network.Addr().Is6() || t.o.SiteBits >= network.Bits() {
		return netip.Prefix{}
	}
	p, _ := network.Addr().Prefix(t.o.SiteBits)
	return p
}

// turn is an attempt that may go on: what counts it.
type turn []counted

// counted is a bucket with its bounds.
type counted struct {
	*bucket
	most int // failures that are free
	ban  int // failures and refusals before it is banned
}

// never is counted.ban of what is not banned.
const never = -1

// wait returns when an attempt may go on.
func (t *Throttle) wait(ctx context.Context, p place) (turn, error) {
	deadline := time.Now().Add(t.o.Patience)
	for {
		now := time.Now()
		got, until, changed := t.try(p, now, deadline)
		switch {
		case got != nil:
			return got, nil
		case until.After(deadline):
			return nil, ErrTooMany
		case !now.Before(deadline):
			return nil, fmt.Errorf("%w: the attempts before it get no answer", ErrUnavailable)
		case changed != nil:
			until = deadline
		}
		timer := time.NewTimer(until.Sub(now))
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// try takes a turn. Without one it returns until when to wait, or what is
// closed when another attempt has ended.
func (t *Throttle) try(p place, now, deadline time.Time) (got turn, until time.Time, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	got = t.counters(p, now)
	for _, c := range got {
		if free := c.free(now); free.After(until) {
			until = free
		}
	}
	if !until.IsZero() {
		if until.After(deadline) {
			t.refuse(got, now, deadline)
		}
		return nil, until, nil
	}
	for _, c := range got {
		if c.running >= max(1, c.most-c.failures) {
			return nil, time.Time{}, c.change()
		}
	}
	for _, c := range got {
		c.running++
		c.next = now.Add(t.delay(c.failures - c.most))
	}
	return got, time.Time{}, nil
}

// refuse counts a refusal where the reason for it is.
func (t *Throttle) refuse(got turn, now, deadline time.Time) {
	for _, c := range got {
		if c.next.After(deadline) {
			c.strike(now, c.ban, &t.o)
		}
	}
}

// counters returns what counts an attempt from a place.
func (t *Throttle) counters(p place, now time.Time) turn {
	if b, ok := t.known.Get(p); ok {
		return turn{{b.forget(now, t.o.Forget), t.o.UserFailures, never}}
	}
	got := turn{}
	if p.user != "" { // a Proof may name nobody: that is no account to guess at
		got = append(got, counted{bucketOf(t.users, p.user).forget(now, t.o.Forget), t.o.UserFailures, t.o.BanAfter})
	}
	if p.network.IsValid() {
		got = append(got, counted{bucketOf(t.networks, p.network).forget(now, t.o.Forget), t.o.NetworkFailures, t.o.BanAfter})
	}
	if site := t.site(p.network); site.IsValid() {
		got = append(got, counted{bucketOf(t.sites, site).forget(now, t.o.Forget), t.o.SiteFailures, never})
	}
	return got
}

// outcome is how an attempt ended.
type outcome int

const (
	neither   outcome = iota // no answer, or not about the password
	succeeded                //
	failed
)

// settle ends a turn.
func (t *Throttle) settle(p place, got turn, how outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, c := range got {
		c.end()
		if how == failed {
			c.fail(now, c.most+t.steps())
			c.next = now.Add(t.delay(c.failures - c.most))
			c.strike(now, c.ban, &t.o)
		}
	}
	known, ok := t.known.Get(p)
	switch {
	case how == succeeded && !ok && p.user != "":
		t.known.Put(p, &bucket{})
	case how == failed && ok && known.failures >= t.o.UserFailures:
		t.known.Remove(p)
	}
}

// delay is how long an attempt waits after so many failures beyond those
// that are free.
func (t *Throttle) delay(beyond int) time.Duration {
	if beyond < 0 {
		return 0
	}
	if beyond >= t.steps() {
		return t.o.Longest
	}
	return min(t.o.Delay<<beyond, t.o.Longest)
}

// steps is after how many doublings a delay is as long as it gets: failures
// beyond it count no more, so that they are forgotten in bounded time.
func (t *Throttle) steps() int {
	n := 0
	for d := t.o.Delay; d < t.o.Longest && n < 40; d *= 2 {
		n++
	}
	return n
}
