package ldapmap_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

const (
	people  = ",ou=people,dc=example,dc=test"
	mailers = "cn=mailers,ou=groups,dc=example,dc=test"
)

// config finds users by all their addresses, and by the uid in example.test.
func config() ldap.Config {
	return ldap.Config{Filter: "(|(mail=%e)(mailLocalAddress=%e))", Domain: "example.test"}
}

// fill adds alice, who has an alias, and bob, whose host says more.
func fill(d *ldapfake.Directory) {
	d.Add("uid=alice"+people, "uid", "alice", "mail", "alice@example.test", "mailLocalAddress", "sales@example.test", "mailHost", "a.example.test")
	d.Add("uid=bob"+people, "uid", "bob", "mail", "bob@example.test", "mailHost", "[2001:db8::7]:1143,user=robert,tls=none", "account", "ignored")
}

func TestR34112TheHostAttributeOfAnEntryIsTheRoute(t *testing.T) {
	d, down := ldapfake.New(t, config()), ldapfake.New(t, config())
	fill(d)
	down.Fail(errors.New("connection refused"))
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper: ldapmap.New(d, ldapmap.Options{}),
		Known: map[string]mapping.Route{
			"alice@example.test": {Host: "a.example.test"}, "sales@example.test": {Host: "a.example.test"}, "alice": {Host: "a.example.test"},
			"alice+tag@example.test": {Host: "a.example.test"}, "alice+a+b": {Host: "a.example.test"},
			"bob@example.test": {Host: "2001:db8::7", Port: 1143, User: "robert", TLS: mapping.TLSNone},
		},
		Unknown: "mallory@example.test",
		Broken:  ldapmap.New(down, ldapmap.Options{}),
	})
}

func TestOptionsFillInWhatAHostDoesNotSay(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(d)
	m := ldapmap.New(d, ldapmap.Options{User: "uid", Port: 993, TLS: mapping.TLSImplicit})
	for user, want := range map[string]mapping.Route{
		"alice@example.test": {Host: "a.example.test", Port: 993, User: "alice", TLS: mapping.TLSImplicit},
		"bob@example.test":   {Host: "2001:db8::7", Port: 1143, User: "bob", TLS: mapping.TLSNone},
	} {
		got, err := m.Map(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	d.Set("uid=alice"+people, "uid", "al\r\nice")
	_, err := m.Map(t.Context(), "alice@example.test")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, ldapmap.ErrBadRoute)
}

func TestAnAddressOfItsOwnBeatsASubAddress(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(d)
	d.Add("uid=other"+people, "mail", "alice+own@example.test", "mailHost", "own.example.test")
	m := ldapmap.New(d, ldapmap.Options{})
	r, err := m.Map(t.Context(), "ALICE+Own@example.test")
	require.NoError(t, err)
	require.Equal(t, "own.example.test", r.Host)
	r, err = m.Map(t.Context(), "alice+other@example.test")
	require.NoError(t, err)
	require.Equal(t, "a.example.test", r.Host)
}

func TestP7R34112AnEntryWithoutAHostIsUnavailableWithAReason(t *testing.T) {
	d := ldapfake.New(t, config())
	d.Add("uid=alice"+people, "mail", "alice@example.test")
	d.Add("uid=empty"+people, "mail", "empty@example.test", "mailHost", "")
	m := ldapmap.New(d, ldapmap.Options{})
	for _, user := range []string{"alice", "empty"} {
		_, err := m.Map(t.Context(), user)
		require.ErrorIs(t, err, mapping.ErrUnavailable)
		require.NotErrorIs(t, err, mapping.ErrNotMapped)
		require.ErrorIs(t, err, ldapmap.ErrMissingHost)
		require.ErrorContains(t, err, `the entry "uid=`+user+people+`" has no mailHost`)
	}
	c := config()
	c.Attributes.Host = "-"
	d = ldapfake.New(t, c)
	fill(d)
	_, err := ldapmap.New(d, ldapmap.Options{}).Map(t.Context(), "alice")
	require.ErrorIs(t, err, mapping.ErrUnavailable)
	require.ErrorIs(t, err, ldapmap.ErrNoHost)
}

func TestR3411TheHostAttributeMayHaveAnyName(t *testing.T) {
	c := config()
	c.Attributes.Host = "roomNumber"
	d := ldapfake.New(t, c)
	d.Add("uid=alice"+people, "mail", "alice@example.test", "roomNumber", "b.example.test", "mailHost", "a.example.test")
	r, err := ldapmap.New(d, ldapmap.Options{}).Map(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, "b.example.test", r.Host)
}

func TestX10BadHostsAreUnavailableAndLoggedOncePerInterval(t *testing.T) {
	for _, hosts := range [][]string{{""}, {"host:99999"}, {"a b"}, {"a,b"}, {"a.example.test", "b.example.test"}, {"10.0.0.300"}, {"-"}, {"host:0"}, {"a\x00"}, {strings.Repeat("a", 1<<20)}} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			d := ldapfake.New(t, config())
			d.Add("uid=alice"+people, "mail", "alice@example.test")
			d.Set("uid=alice"+people, "mailHost", hosts...)
			m := ldapmap.New(d, ldapmap.Options{Logger: slog.New(slog.NewTextHandler(&out, nil)), Interval: time.Hour})
			for range 3 {
				r, err := m.Map(t.Context(), "alice@example.test")
				require.ErrorIs(t, err, mapping.ErrUnavailable, "%.40q", hosts)
				require.NotErrorIs(t, err, mapping.ErrNotMapped)
				require.Zero(t, r)
				require.Contains(t, err.Error(), "uid=alice")
				require.Less(t, len(err.Error()), 1000)
			}
			require.Equal(t, 1, strings.Count(out.String(), "\n"), "%.40q", hosts)
			time.Sleep(2 * time.Hour)
			_, _ = m.Map(t.Context(), "alice@example.test")
			require.Equal(t, 2, strings.Count(out.String(), "\n"))
		})
	}
}

func TestP7R3421SeveralEntriesAreAnErrorOrTheFirstBySwitch(t *testing.T) {
	for several, want := range map[ldap.Several]string{ldap.SeveralIsError: "", ldap.SeveralIsFirst: "a.example.test"} {
		c := config()
		c.Several = several
		d := ldapfake.New(t, c)
		fill(d)
		d.Add("uid=alice2"+people, "mail", "alice@example.test", "mailHost", "z.example.test")
		r, err := ldapmap.New(d, ldapmap.Options{}).Map(t.Context(), "alice@example.test")
		require.Equal(t, want, r.Host)
		if several == ldap.SeveralIsError {
			require.ErrorIs(t, err, mapping.ErrUnavailable)
			require.ErrorIs(t, err, ldap.ErrSeveral)
			require.NotErrorIs(t, err, mapping.ErrNotMapped)
		}
	}
}

func TestWhoIsNotInTheRequiredGroupIsNotMapped(t *testing.T) {
	c := config()
	c.Groups.Required = mailers
	d := ldapfake.New(t, c)
	fill(d)
	d.Add("cn=staff,ou=groups,dc=example,dc=test", "objectClass", "groupOfNames", "member", "uid=alice"+people)
	d.Add(mailers, "objectClass", "groupOfNames", "member", "cn=staff,ou=groups,dc=example,dc=test")
	m := ldapmap.New(d, ldapmap.Options{})
	_, err := m.Map(t.Context(), "alice")
	require.NoError(t, err)
	_, err = m.Map(t.Context(), "bob")
	require.ErrorIs(t, err, mapping.ErrNotMapped)
	require.ErrorContains(t, err, mailers)
}
