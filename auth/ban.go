package auth

import (
	"net/netip"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// Ban is an account or a network of which a Throttle refuses every attempt,
// but those of known pairs.
type Ban struct {
	User    string       // the account; empty: a network is banned
	Network netip.Prefix // the zero Prefix: an account is banned
	Until   time.Time
}

// Bans returns what is banned at this moment, the ban that ends last first.
// It looks at all that is remembered: call it for an operator, not for each
// login.
func (t *Throttle) Bans() []Ban {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var all []Ban
	for user, b := range t.users.All() {
		if now.Before(b.banned) {
			all = append(all, Ban{User: user, Until: b.banned})
		}
	}
	for network, b := range t.networks.All() {
		if now.Before(b.banned) {
			all = append(all, Ban{Network: network, Until: b.banned})
		}
	}
	slices.SortStableFunc(all, func(a, b Ban) int { return b.Until.Compare(a.Until) })
	return all
}

// Lift forgets the bans and all failures of the networks in a prefix, and of
// its sites, and returns how many bans that were.
func (t *Throttle) Lift(in netip.Prefix) (bans int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, all := range [...]*lru.Map[netip.Prefix, *bucket]{t.networks, t.sites} {
		for network, b := range all.All() {
			if !in.Overlaps(network) {
				continue
			}
			if now.Before(b.banned) {
				bans++
			}
			b.pardon()
		}
	}
	return bans
}

// LiftUser forgets the ban and all failures of an account, named as in Ban,
// and reports whether it was banned.
func (t *Throttle) LiftUser(user string) (banned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.users.Get(user)
	if ok {
		banned = time.Now().Before(b.banned)
		b.pardon()
	}
	return banned
}
