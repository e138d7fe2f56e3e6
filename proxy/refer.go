package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	passed := append(slices.Clone(l.passed), l.route)
	back := func(r mapping.Route) bool {
		return strings.EqualFold(r.Host, to.Host) && l.client.Protocol.port(r) == l.client.Protocol.port(to)
	}
	switch {
	case len(passed) > maxReferrals || slices.ContainsFunc(passed, back):
		return nil, fmt.Errorf("%w: %s refers to %s", ErrLoop, l.route, to)
	case f.Referrals == nil || !f.Referrals(l.route, to):
		return nil, fmt.Errorf("%w: %w: %s refers to %s", ErrUnavailable, errReferral, l.route, to)
	}
	if to.User == "" {
		to.User = l.route.User
	}
	next, err := f.reach(ctx, to, f.Sessions.visit(l.user, l.client))
	if errors.Is(err, errAgain) { // he was moved meanwhile: the map knows better
		return f.Reach(ctx, l.user, l.client)
	}
	if err != nil {
		return nil, err
	}
	next.passed = passed
	return next, nil
}
