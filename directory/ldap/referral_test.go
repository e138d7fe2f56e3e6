package ldap

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func escapeSlashes(path string) string { return strings.ReplaceAll(path, "/", "%2F") }

// elsewhereServer has one user that no other server has, under a base of its own.
func elsewhereServer(t *testing.T) *ldapstub.Server {
	s := ldapstub.Start(t, nil)
	s.Add("ou=far,"+base, map[string][]string{"objectClass": {"organizationalUnit"}})
	s.Add("uid=far,ou=far,"+base, map[string][]string{"mail": {"far@example.test"}, "userPassword": {"pw"}})
	return s
}

func farURI(s *ldapstub.Server) string { return s.URI() + "/" + url.PathEscape("ou=far,"+base) }

func following(c *Config) { c.Referrals = FollowReferrals }

func TestA04ContinuationReferencesAreIgnoredOrFollowed(t *testing.T) {
	near, far := full(t), elsewhereServer(t)
	near.SetReferrals(farURI(far))

	ignoring := connectTo(t, nil, near)
	require.NoError(t, lookup(t, ignoring))
	_, err := ignoring.Lookup(t.Context(), "far@example.test")
	require.ErrorIs(t, err, ErrNoEntry)
	require.Zero(t, far.Connections.Load())

	c := connectTo(t, following, near)
	e, err := c.Lookup(t.Context(), "far@example.test")
	require.NoError(t, err)
	require.Equal(t, "uid=far,ou=far,"+base, e.DN)
	require.NoError(t, lookup(t, c))
}

func TestA04AReferralInsteadOfAnAnswerIsFollowedOrUnavailable(t *testing.T) {
	near, far := full(t), elsewhereServer(t)
	near.SetAnswer(ldapstub.Search, 10, "")
	near.SetReferrals("ldap://127.0.0.1:1/", farURI(far)) // the first of them does not work
	_, err := connectTo(t, nil, near).Lookup(t.Context(), "far@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "result 10 (Referral)")
	require.ErrorContains(t, err, far.URI())

	e, err := connectTo(t, following, near).Lookup(t.Context(), "far@example.test")
	require.NoError(t, err)
	require.Equal(t, "uid=far,ou=far,"+base, e.DN)
}

func TestAReferralThatLeadsNowhereMakesNobodyUnknown(t *testing.T) {
	near := full(t)
	for _, uri := range []string{"ldap://127.0.0.1:1/" + base, "http://127.0.0.1/", "ldap://127.0.0.1:x/", "::", "ldap://127.0.0.1:1/" + base + "????!x"} {
		near.SetReferrals(uri)
		_, err := connectTo(t, following, near).Lookup(t.Context(), "far@example.test")
		require.ErrorIs(t, err, ErrUnavailable, uri)
		require.NotErrorIs(t, err, ErrNoEntry, uri)
	}
}

func TestReferralsInACircleEnd(t *testing.T) {
	one, two := full(t), full(t)
	one.SetReferrals(two.URI() + "/" + base)
	two.SetReferrals(one.URI() + "/" + base)
	c := connectTo(t, following, one)
	require.NoError(t, lookup(t, c))
	one.SetReferrals(two.URI() + "/" + base + "??sub?(mail=x)")
	two.SetReferrals(one.URI() + "/" + base + "??sub?(mail=y)")
	_, err := c.Lookup(t.Context(), "far@example.test")
	require.ErrorIs(t, err, ErrNoEntry)
}

func TestAReferralSendsNoPasswordInTheClear(t *testing.T) {
	near, far := fill(ldapstub.StartTLS(t, testcert.Server())), elsewhereServer(t)
	near.SetReferrals(farURI(far))
	c := connectTo(t, func(c *Config) {
		following(c)
		c.TLS, c.BindDN, c.BindPassword = trusting(), dn("u0"), "pw"
	}, near)
	_, err := c.Lookup(t.Context(), "far@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "without TLS")
	require.Zero(t, far.Connections.Load())
}

func TestAReferralKeepsTheLimits(t *testing.T) {
	near, far := full(t), elsewhereServer(t)
	far.Add("uid=far2,ou=far,"+base, map[string][]string{"mail": {"u1@example.test"}})
	near.SetReferrals(farURI(far))
	_, err := connectTo(t, following, near).Lookup(t.Context(), "u1@example.test")
	require.ErrorIs(t, err, ErrSeveral)
}
