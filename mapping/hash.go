package mapping

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// HashHost is a host on which a Hash places users.
type HashHost struct {
	Route  Route
	Weight int    // its share beside the others' of its tag; 0: 1, at most 1,000
	Tag    string // of the users that it takes, see HashOptions.Tag

	// Name is what the hash is made of; empty: host and port, as
	// "10.0.0.11" or "10.0.0.11:1143". A host that keeps its Name keeps its
	// users, whatever its address becomes.
	Name string
}

// HashOptions adjust a Hash. The zero value is for hosts without tags.
type HashOptions struct {
	// Tag says which hosts a user may be placed on, by his name in normal
	// form: those with the same tag. nil: those without one.
	Tag func(name string) string
}

// Hash is a Mapper that needs no directory: it places users on hosts by their
// names. Of N hosts with one tag, adding one moves one user of N+1, all of
// them to it; removing one moves its own users only; a change of a weight
// moves as many as the shares change. The order of the hosts doesn't matter.
//
// Everybody is mapped, so that an address that nobody has is found out by the
// host. When there is no host for a user's tag the answer is ErrUnavailable.
//
// The placement is the same in every process and release, being where mail
// lies. It is rendezvous hashing with weights:
//
//   - The key of a text is the first eight octets of its SHA-256, big-endian.
//     A user's text is his name in normal form, without a sub-address "+tag".
//   - A host's draw is mix(key of user XOR key of host), where mix is the
//     finalizer of splitmix64: z ^= z>>30, z *= 0xbf58476d1ce4e5b9, z ^= z>>27,
//     z *= 0x94d049bb133111eb, z ^= z>>31.
//   - Its distance is 64 - log2(draw+1), in units of 2^-32 and at least one of
//     them, divided by its weight; the logarithm's digits are found by repeated
//     squaring of 64 bits, with what is beyond those cut off. The smallest
//     distance has the user; of equal ones the host whose name sorts first.
type Hash struct {
	tags map[string][]hashHost
	tag  func(string) string
}

type hashHost struct {
	key    uint64
	weight uint64
	name   string
	route  Route
}

// maxWeight bounds a weight, so that distances can be compared in integers.
const maxWeight = 1000

// ErrHosts is the error of NewHash for hosts of which two have one name, or
// with a weight out of range, or for none at all.
var ErrHosts = errors.New("hosts can't be used for placement")

// NewHash returns a Hash over hosts. ErrHosts, ErrBadRoute.
func NewHash(hosts []HashHost, o HashOptions) (*Hash, error) {
	h := &Hash{tags: make(map[string][]hashHost), tag: o.Tag}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrHosts)
	}
	names := make(map[string]bool)
	for _, host := range hosts {
		if err := host.Route.Check(); err != nil {
			return nil, err
		}
		name := cmp.Or(host.Name, Route{Host: host.Route.Host, Port: host.Route.Port}.String())
		weight := cmp.Or(host.Weight, 1)
		switch {
		case names[name]:
			return nil, fmt.Errorf("%w: two are called %q", ErrHosts, name)
		case weight < 1 || weight > maxWeight:
			return nil, fmt.Errorf("%w: %q has weight %d", ErrHosts, name, weight)
		}
		names[name] = true
		h.tags[host.Tag] = append(h.tags[host.Tag], hashHost{hashKey(name), uint64(weight), name, host.Route})
	}
	for _, some := range h.tags {
		slices.SortFunc(some, func(a, b hashHost) int { return cmp.Compare(a.name, b.name) })
	}
	return h, nil
}

// Map returns where the hash places a user.
func (h *Hash) Map(_ context.Context, user string) (Route, error) {
	name, ok := NormalName(user)
	if !ok {
		return Route{}, ErrNotMapped
	}
	tag := ""
	if h.tag != nil {
		tag = h.tag(name)
	}
	hosts := h.tags[tag]
	if len(hosts) == 0 {
		return Route{}, fmt.Errorf("%w: no host has the tag %.40q", ErrUnavailable, tag)
	}
	if short, ok := withoutTag(name); ok {
		name = short
	}
	key := hashKey(name)
	best, shortest := 0, hosts[0].distance(key)
	for i := range hosts[1:] {
		d := hosts[i+1].distance(key)
		if less(d, hosts[i+1].weight, shortest, hosts[best].weight) {
			best, shortest = i+1, d
		}
	}
	return hosts[best].route, nil
}

func hashKey(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}

// distance is that of a user, before it is divided by the weight.
func (h *hashHost) distance(user uint64) uint64 {
	return max(64<<32-log2(mix(user^h.key)), 1)
}

// less reports whether a/weightA < b/weightB.
func less(a, weightA, b, weightB uint64) bool { return a*weightB < b*weightA }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// log2 returns the binary logarithm of x+1 in units of 2^-32: by squaring in
// integers, which gives the same on every machine.
func log2(x uint64) uint64 {
	if x++; x == 0 {
		return 64 << 32
	}
	n := bits.LeadingZeros64(x)
	whole, part := uint64(63-n), x<<n // part is 1 to 2 in units of 2^-63
	for range 32 {
		hi, lo := bits.Mul64(part, part)
		whole <<= 1
		if hi>>63 == 1 { // 2 or more
			whole, part = whole|1, hi
		} else {
			part = hi<<1 | lo>>63
		}
	}
	return whole
}
