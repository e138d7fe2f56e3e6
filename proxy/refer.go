package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/mapping"
)

// maxReferrals is how many referrals of one login are followed.
const maxReferrals = 2

var errReferral = errors.New("referral is not followed")

// Refer goes where a back end sends the user: to a route that stood in its
// answer to a login (IMAP's REFERRAL, RFC 2221; ManageSieve's, RFC 5804 §1.3).
// An empty User leaves the one of l. It closes l and connects as Reach does.
// ErrUnavailable where Front.Referrals does not allow it, too; ErrLoop at the
// third referral of a login, and where it leads back.
func (f *Front) Refer(ctx context.Context, l *Link, to mapping.Route) (*Link, error) {
	l.Close()
	if err := to.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrUnavailable, errReferral, err)
	}
	to.TLS = f.backend(to).TLS
	passed := append(slices.Clone(l.passed), l.route)
	port := l.client.Protocol.port
	back := func(r mapping.Route) bool { return normalHost(r.Host) == normalHost(to.Host) && port(r) == port(to) }
	switch {
	case len(passed) > maxReferrals || slices.ContainsFunc(passed, back):
		return nil, fmt.Errorf("%w: %s refers to %s", ErrLoop, l.route, to)
	case f.Referrals == nil || !f.Referrals(l.route, to):
		return nil, fmt.Errorf("%w: %w: %s refers to %s", ErrUnavailable, errReferral, l.route, to)
	}
	if to.User == "" {
		to.User = l.route.User
	}
	v := f.Sessions.visit(l.user, l.client)
	v.referred = &to
	next, err := f.reach(ctx, v)
	if err != nil {
		return nil, err
	}
	next.passed = passed
	return next, nil
}
