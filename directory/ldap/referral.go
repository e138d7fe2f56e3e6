package ldap

import (
	"context"
	"errors"
	"net/url"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldap "github.com/go-ldap/ldap/v3"
)

// Bounds of following referrals for one search.
const (
	maxHops      = 5  // from one server to the next
	maxReferrals = 32 // in all
)

// referral are URIs of which each leads to the rest of an answer (RFC 4511
// §4.1.10).
type referral []string

// referralOf reads the referral out of a result.
func referralOf(err error) (uris referral) {
	var failed *ldap.Error
	if !errors.As(err, &failed) || failed.Packet == nil || len(failed.Packet.Children) < 2 {
		return nil
	}
	for _, part := range failed.Packet.Children[1].Children {
		if part.ClassType != ber.ClassContext || part.Tag != 3 {
			continue
		}
		for _, uri := range part.Children {
			if s, ok := uri.Value.(string); ok && len(uris) < maxReferrals {
				uris = append(uris, s)
			}
		}
	}
	return uris
}

// place is where a search goes on.
type place struct {
	at    endpoint
	query Query
	hops  int
}

// follow adds to an answer what is found where its referrals lead, within the
// time of the question and with the same bind. When one of them can't be
// followed there is no answer.
func (c *Connector) follow(ctx context.Context, q *question, query Query, got *answer) error {
	seen, found := make(map[string]bool), make(map[string]bool)
	for _, e := range got.entries {
		found[e.DN] = true
	}
	type leap struct {
		to   referral
		from place
	}
	var leaps []leap
	add := func(to []referral, from place) {
		for _, r := range to {
			leaps = append(leaps, leap{r, from})
		}
	}
	add(got.referrals, place{q.at, query, 0})
	for followed := 0; len(leaps) > 0 && len(got.entries) <= c.limit(query); followed++ {
		next := leaps[0]
		leaps = leaps[1:]
		if followed >= maxReferrals || next.from.hops >= maxHops {
			return unavailable("search of %s: too many referrals", query.Base)
		}
		more, at, err := c.leap(ctx, q, next.to, next.from, seen)
		if err != nil {
			return err
		}
		for _, e := range more.entries {
			if !found[e.DN] {
				found[e.DN] = true
				got.entries = append(got.entries, e)
			}
		}
		got.cut = got.cut || more.cut
		add(more.referrals, at)
	}
	return nil
}

// leap searches where one referral leads: at the first of its servers that
// works. A place where the search was already gives nothing more.
func (c *Connector) leap(ctx context.Context, q *question, to referral, from place, seen map[string]bool) (a answer, at place, err error) {
	err = unavailable("search of %s: a referral leads nowhere", q.about)
	for _, uri := range to {
		if at, err = c.placeOf(uri, from); err != nil {
			err = unavailable("search of %s: referral %.256q %w", q.about, uri, err)
			continue
		}
		key := strings.Join([]string{at.at.network, at.at.address, NormalDN(at.query.Base), at.query.Filter}, "\x00")
		if seen[key] {
			return a, at, nil
		}
		if a, err = c.askAt(ctx, q, at); err == nil {
			seen[key] = true
			return a, at, nil
		}
	}
	return a, at, err
}

// askAt searches at a place that no pool has connections to.
func (c *Connector) askAt(ctx context.Context, q *question, at place) (a answer, err error) {
	conn, err := c.dial(ctx, at.at, q.deadline, searches)
	if err != nil {
		return a, err
	}
	defer conn.close()
	err = conn.put(ctx, q.deadline, c.c.MaxAnswer, func(l *ldap.Conn) (err error) {
		a, err = c.searchOn(l, at.query)
		return err
	})
	if err != nil {
		return a, &failure{at.at.uri, "search of " + at.query.Base + " after a referral", err, false}
	}
	return a, nil
}

// placeOf reads an LDAP URL (RFC 4516): what it leaves out is as it was. The
// password of the bind goes no less secure ways than before.
func (c *Connector) placeOf(uri string, from place) (place, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return from, errors.New("is no URI")
	}
	to := place{from.at, from.query, from.hops + 1}
	if u.Host != "" {
		if to.at, err = parseURI(u.Scheme + "://" + u.Host); err != nil {
			return to, err
		}
	}
	if was := from.at.implied || c.startsTLS(from.at) || from.at.local(); was && !to.at.implied && !c.startsTLS(to.at) && !to.at.local() {
		return to, errors.New("leads to a connection without TLS")
	}
	if dn := strings.TrimPrefix(u.Path, "/"); dn != "" {
		to.query.Base = dn
	}
	parts := append(strings.Split(u.RawQuery, "?"), "", "", "", "")
	switch strings.ToLower(parts[1]) {
	case "base":
		to.query.Scope = Base
	case "one":
		to.query.Scope = OneLevel
	case "sub":
		to.query.Scope = Subtree
	}
	if parts[2] != "" {
		if to.query.Filter, err = url.PathUnescape(parts[2]); err != nil {
			return to, errors.New("has a bad filter")
		}
	}
	if strings.HasPrefix(parts[3], "!") || strings.Contains(parts[3], ",!") {
		return to, errors.New("has a critical extension")
	}
	return to, nil
}
