package ldapmap_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

func startSlapd(t *testing.T, o realtest.SlapdOptions) *realtest.Slapd {
	t.Helper()
	realtest.Require(t, "slapd")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := realtest.StartSlapd(ctx, o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// connect returns a connector to a server, bound as somebody or anonymous.
func connect(t *testing.T, s *realtest.Slapd, c ldap.Config) *ldap.Connector {
	t.Helper()
	c.Type, c.URIs, c.Base = ldap.OpenLDAP, []string{s.URI()}, realtest.SlapdBase
	if c.Filter == "" {
		c.Filter = "(|(mail=%e)(mailLocalAddress=%e))"
	}
	connector, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connector.Close()) })
	return connector
}

func reader() ldap.Config {
	return ldap.Config{BindDN: realtest.SlapdReader, BindPassword: realtest.SlapdReaderPassword}
}

func TestP2R3412LDAPSearchAndLDAPBindAreOneMapTypeWithTwoConnectors(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	wrong := reader()
	wrong.BindPassword = "wrong"
	for name, c := range map[string]ldap.Config{"search": {}, "bind": reader()} {
		t.Run(name, func(t *testing.T) {
			mappingtest.Run(t, mappingtest.Fixture{
				Mapper: ldapmap.New(connect(t, s, c), ldapmap.Options{TLS: mapping.TLSStart}),
				Known: map[string]mapping.Route{
					"user0@example.test": {Host: "backend0.example.test", TLS: mapping.TLSStart}, "user1@example.test": {Host: "backend1.example.test", TLS: mapping.TLSStart},
					"alias3+tag@example.test": {Host: "backend1.example.test", TLS: mapping.TLSStart},
				},
				Unknown: "mallory@example.test",
				Broken:  ldapmap.New(connect(t, s, wrong), ldapmap.Options{}),
			})
		})
	}
}

func TestR3412AServerThatRefusesAnonymousSearchesNeedsLDAPBind(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{Global: "require authc"})
	_, err := ldapmap.New(connect(t, s, ldap.Config{}), ldapmap.Options{}).Map(t.Context(), "user0@example.test")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.NotErrorIs(t, err, mapping.ErrNotMapped)
	r, err := ldapmap.New(connect(t, s, reader()), ldapmap.Options{}).Map(t.Context(), "user0@example.test")
	require.NoError(t, err)
	require.Equal(t, "backend0.example.test", r.Host)
}

func TestR34111TheSearchPatternFindsUsersBelowTheBase(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	deep := "ou=deep," + realtest.SlapdPeople
	require.NoError(t, s.Add(deep, realtest.Attributes{"objectClass": {"organizationalUnit"}, "ou": {"deep"}}))
	require.NoError(t, s.Add("uid=deep,"+deep, realtest.Person("deep", nil)))
	for filter, users := range map[string][]string{
		"mail=%e": {"user0@example.test", "USER0@EXAMPLE.TEST", "deep@example.test"}, "(&(objectClass=inetOrgPerson)(uid=%u))": {"user0", "user0@example.test", "deep"},
		"(mail=%u@%d)": {"deep@example.test"},
	} {
		m := ldapmap.New(connect(t, s, ldap.Config{Filter: filter}), ldapmap.Options{})
		for _, user := range users {
			r, err := m.Map(t.Context(), user)
			require.NoError(t, err, "%s with %s", user, filter)
			require.Equal(t, "backend0.example.test", r.Host)
		}
		for _, user := range []string{"*", "user*", "*@example.test", "user0)(uid=*", `user\30`, "nobody@example.test"} {
			_, err := m.Map(t.Context(), user)
			require.ErrorIs(t, err, mapping.ErrNotMapped, "%s with %s", user, filter)
		}
	}
}

func TestR34112AnEntryOfARealServerWithoutAHostIsUnavailable(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	m := ldapmap.New(connect(t, s, ldap.Config{}), ldapmap.Options{})
	_, err := m.Map(t.Context(), "nohost@example.test")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, ldapmap.ErrMissingHost)
	_, err = m.Map(t.Context(), "twin@example.test")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, ldap.ErrSeveral)
}

func TestA05P5RoutesThatAreRememberedOutliveTheServer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	m := mapping.NewCache(ldapmap.New(connect(t, s, ldap.Config{}), ldapmap.Options{}), mapping.CacheOptions{TTL: time.Nanosecond})
	warm, err := m.Map(t.Context(), "user1@example.test")
	require.NoError(t, err)
	s.Kill()
	r, err := m.Map(t.Context(), "User1@Example.test")
	require.NoError(t, err)
	require.Equal(t, warm, r)
	for _, cold := range []string{"user2@example.test", "mallory@example.test"} {
		_, err = m.Map(t.Context(), cold)
		require.ErrorIs(t, err, mapping.ErrUnavailable)
		require.NotErrorIs(t, err, mapping.ErrNotMapped)
	}
}

func TestTheRequiredGroupOfARealServerMayHoldGroups(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	m := ldapmap.New(connect(t, s, ldap.Config{Groups: ldap.Groups{Required: realtest.SlapdGroup("outer")}}), ldapmap.Options{})
	for _, user := range []string{"user0@example.test", "alias2@example.test"} {
		_, err := m.Map(t.Context(), user)
		require.NoError(t, err, user)
	}
	_, err := m.Map(t.Context(), "user3@example.test")
	require.ErrorIs(t, err, mapping.ErrNotMapped)
}
