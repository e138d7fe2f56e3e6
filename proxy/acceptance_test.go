package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
	"github.com/posthouse-mail/posthouse/proxy"
)

// tier is a front end of one protocol before two back ends. The map that all
// tiers have in common names the hosts; each protocol has its ports.
type tier struct {
	d       *dialect
	hosts   map[string]*backend
	address string
}

var hosts = []string{"127.0.0.1", "127.0.0.2"}

func newTier(t *testing.T, d *dialect, m mapping.Mapper) *tier {
	t.Helper()
	s := &tier{d: d, hosts: make(map[string]*backend)}
	for _, host := range hosts {
		s.hosts[host] = startBackendOn(t, host, &backend{dialect: d})
	}
	front := &proxy.Front{
		Logger: slog.New(slog.DiscardHandler),
		Mapper: mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
			r, err := m.Map(ctx, user)
			if err == nil {
				r.Port, r.TLS = s.hosts[r.Host].route.Port, mapping.TLSNone
			}
			return r, err
		}),
	}
	s.address = serve(t, d.serve(front, config{logger: front.Logger, budget: patience}))
	return s
}

// reached logs a user in, or sends him a message, and returns which back end
// has heard of it.
func (s *tier) reached(t *testing.T, user string) (host string) {
	t.Helper()
	before := make(map[string]int)
	for host, b := range s.hosts {
		before[host] = b.entries()
	}
	c := dial(t, s.d, s.address)
	require.Regexp(t, s.d.good, c.attempt(t, user), "%s of %s", s.d.name, user)
	c.Close()
	for other, b := range s.hosts {
		if b.entries() > before[other] {
			require.Empty(t, host, "%s is on both", user)
			host = other
		}
	}
	return host
}

// TestP1AUserIsOnOneBackEndInAllProtocols, whatever letters he writes his name
// in and whatever name of his he writes.
func TestP1AUserIsOnOneBackEndInAllProtocols(t *testing.T) {
	d := ldapfake.New(t, ldap.Config{Filter: "(|(mail=%e)(mailLocalAddress=%e))", Domain: "example.test"})
	const people = ",ou=people,dc=example,dc=test"
	d.Add("uid=alice"+people, "mail", alice, "mailLocalAddress", "sales@example.test", "mailLocalAddress", "a.smith@example.net", "mailHost", hosts[0])
	d.Add("uid=bob"+people, "mail", "bob@example.test", "mailLocalAddress", "support@example.test", "mailHost", hosts[1])
	m := mapping.NewCache(ldapmap.New(d, ldapmap.Options{}), mapping.CacheOptions{})
	for _, p := range dialects {
		s := newTier(t, p, m)
		for _, user := range []string{
			alice, "ALICE@example.test", "Alice@Example.TEST", "alice+tag@example.test",
			"sales@example.test", "Sales@EXAMPLE.test", "a.smith@example.net", "A.Smith@Example.Net",
		} {
			require.Equal(t, hosts[0], s.reached(t, user), "%s of %s", p.name, user)
		}
		for _, user := range []string{"bob@example.test", "BOB@Example.test", "support@example.test", "SUPPORT@example.test"} {
			require.Equal(t, hosts[1], s.reached(t, user), "%s of %s", p.name, user)
		}
	}
}

// TestP4AThousandLoginsOfAColdUserMakeOneLookup has them come over four
// protocols at the same moment.
func TestP4AThousandLoginsOfAColdUserMakeOneLookup(t *testing.T) {
	const all = 1000
	var lookups, waiting atomic.Int64
	known := make(chan struct{})
	cache := mapping.NewCache(mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
		lookups.Add(1)
		<-known
		return mapping.Route{Host: hosts[0]}, nil
	}), mapping.CacheOptions{Timeout: 10 * time.Minute})
	counted := mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
		if waiting.Add(1) == all {
			close(known)
		}
		return cache.Map(ctx, user)
	})
	var protocols []*dialect
	for _, d := range dialects {
		if d.logsIn() {
			protocols = append(protocols, d)
		}
	}
	answers := make(chan error, all)
	for _, d := range protocols {
		s := newTier(t, d, counted)
		for range all / len(protocols) {
			go func() { answers <- s.logIn(alice) }()
		}
	}
	for range all {
		require.NoError(t, <-answers)
	}
	require.EqualValues(t, 1, lookups.Load())
}

// logIn says why a login came to nothing.
func (s *tier) logIn(user string) error {
	c, err := connect(s.d, s.address)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.tryAs(user)
	if err == nil && !regexp.MustCompile(s.d.good).MatchString(got) {
		err = errors.New(got)
	}
	return err
}

// TestP5WhileTheDirectoryIsDownWarmUsersGoOnAndColdOnesAreToldToComeAgain, and
// nobody is led to a default host or told that he is unknown.
func TestP5WhileTheDirectoryIsDownWarmUsersGoOnAndColdOnesAreToldToComeAgain(t *testing.T) {
	d := ldapfake.New(t, ldap.Config{Filter: "(mail=%e)", Domain: "example.test"})
	d.Add("uid=alice,dc=example,dc=test", "mail", alice, "mailHost", hosts[0])
	d.Add("uid=bob,dc=example,dc=test", "mail", "bob@example.test", "mailHost", hosts[1])
	cache := mapping.NewCache(ldapmap.New(d, ldapmap.Options{}), mapping.CacheOptions{TTL: time.Nanosecond, Logger: slog.New(slog.DiscardHandler)})
	m := mapping.Default(cache, mapping.Route{Host: hosts[1]}, mapping.Everybody)
	var tiers []*tier
	for _, p := range dialects {
		tiers = append(tiers, newTier(t, p, m))
	}
	require.Equal(t, hosts[0], tiers[0].reached(t, alice))
	d.Fail(errors.New("connection refused"))
	for _, s := range tiers {
		require.Equal(t, hosts[0], s.reached(t, alice))
		c := dial(t, s.d, s.address)
		require.Regexp(t, s.d.mapDown, c.attempt(t, "bob@example.test"))
		require.Zero(t, s.hosts[hosts[1]].entries())
		c.Close()
	}
	d.Fail(nil)
	require.Eventually(t, func() bool { return tiers[1].logIn("bob@example.test") == nil }, patience, 100*time.Millisecond)
}

// TestX05AnOutageBansNobody looks at what servers and front ends log of a
// directory that is down: tools ban who fails to authenticate.
func TestX05AnOutageBansNobody(t *testing.T) {
	for _, d := range dialects {
		if !d.logsIn() {
			continue
		}
		for _, of := range []struct {
			err  error
			want string
		}{{auth.ErrUnavailable, "login not possible"}, {errors.New("unforeseen"), "login not possible"}, {auth.ErrBadCredentials, "authentication failed"}} {
			log := &journal{}
			conf := config{logger: slog.New(slog.NewTextHandler(log, nil)), budget: patience, auth: auth.AuthenticatorFunc(
				func(context.Context, auth.Credentials) (auth.Identity, error) { return auth.Identity{}, of.err })}
			front := &proxy.Front{Mapper: mapping.Static(mapping.Route{Host: hosts[0]}), Logger: conf.logger}
			tiers := []server{d.serve(front, conf)}
			if d.server != nil {
				tiers = append(tiers, d.server(conf))
			}
			for i, s := range tiers {
				c := dial(t, d, serve(t, s))
				_, _ = c.tryAs(alice)
				c.Close()
				require.Equal(t, i+1, strings.Count(log.String(), fmt.Sprintf("level=WARN msg=%q service=%s remote=127.0.0.1 user=%s session=", of.want, d.name, alice)), log.String())
			}
			require.Equal(t, of.want == "authentication failed", strings.Contains(log.String(), `msg="authentication failed"`))
		}
	}
}
