package mapping

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/internal/seldom"
)

// CheckedOptions adjust a Checked. A zero field means its default.
type CheckedOptions struct {
	Loopback Loopback      // whether a route may lead to this machine itself
	Interval time.Duration // between two log lines about one mistake; default one minute
	Logger   *slog.Logger  // nil: slog.Default
}

// Loopback says whether routes may lead to a loopback address. A back end of a
// site is seldom there, and a proxy that takes its own address for one asks
// itself.
type Loopback int

// The two ways.
const (
	LoopbackRefused Loopback = iota
	LoopbackAllowed
)

// Checked is a Mapper over a source that others write, as a directory: a route
// that leads nowhere (Route.Check), to no particular machine, or to this one,
// is a mistake of that source. The answer is then ErrUnavailable, so that the
// client comes back when it is mended, and a line in the log tells of it: once
// an interval of each mistake, as of every other error of kind ErrBadRoute. Whether a name of a host is
// known is seen by who connects to it.
//
// A file map or a Static route needs none: they check what they are given when
// they are made, and may name a loopback address.
type Checked struct {
	next     Mapper
	loopback Loopback
	log      *seldom.Logger
}

// NewChecked returns a Checked over next.
func NewChecked(next Mapper, o CheckedOptions) *Checked {
	return &Checked{next: next, loopback: o.Loopback, log: seldom.New(o.Logger, o.Interval)}
}

// Unwrap returns the Mapper that is checked.
func (c *Checked) Unwrap() Mapper { return c.next }

// Map returns what the source answers, if it leads somewhere.
func (c *Checked) Map(ctx context.Context, user string) (Route, error) {
	r, err := c.next.Map(ctx, user)
	if err == nil {
		err = c.check(r)
	}
	if err == nil {
		return r, nil
	}
	err = ofKind(err)
	if errors.Is(err, ErrBadRoute) {
		c.log.Warn(ctx, err.Error(), "user map gives a route that can't be used", "user", user, "err", err)
	}
	return Route{}, err
}

func (c *Checked) check(r Route) error {
	if err := r.Check(); err != nil {
		return err
	}
	a, err := netip.ParseAddr(r.Host)
	a = a.Unmap()
	name := err != nil
	if c.loopback == LoopbackRefused && (a.IsLoopback() || name && isLocalhost(r.Host)) {
		return badRoute("host %q is this machine itself", r.Host)
	}
	if a == broadcast || a.IsUnspecified() || a.IsMulticast() {
		return badRoute("host %q is no particular machine", r.Host)
	}
	return nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isLocalhost knows the names of RFC 6761 §6.3.
func isLocalhost(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
