package ldap

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
)

func TestWatchTellsWhatChangesInOpenLDAPWithOldAndNewNames(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	f := follow(t, connectReal(t, atSlapd(s.URI())))

	user1 := []string{"alias1@example.test", "user1", "user1@example.test"}
	require.NoError(t, s.Set(realtest.SlapdUser(1), "mailHost", "other.example.test"))
	require.Equal(t, Change{DN: realtest.SlapdUser(1), Old: user1, New: user1}, f.next())

	require.NoError(t, s.Set(realtest.SlapdUser(1), "mailLocalAddress", "new@example.test"))
	after := []string{"new@example.test", "user1", "user1@example.test"}
	require.Equal(t, Change{DN: realtest.SlapdUser(1), Old: user1, New: after}, f.next())

	require.NoError(t, s.Set(realtest.SlapdUser(1), "userPassword", "changed"))
	require.Equal(t, Change{DN: realtest.SlapdUser(1), Old: after, New: after}, f.next())

	require.NoError(t, s.Add(realtest.SlapdPerson("zoe"), realtest.Person("zoe", nil)))
	zoe := []string{"zoe", "zoe@example.test"}
	require.Equal(t, Change{DN: realtest.SlapdPerson("zoe"), New: zoe}, f.next())

	require.NoError(t, s.Rename(realtest.SlapdPerson("zoe"), "uid=zara"))
	zara := []string{"zara", "zara@example.test", "zoe@example.test"}
	require.Equal(t, Change{DN: realtest.SlapdPerson("zara"), Old: zoe, New: []string{"zara", "zara@example.test", "zoe@example.test"}}, f.next())

	require.NoError(t, s.Delete(realtest.SlapdPerson("zara")))
	require.Equal(t, Change{DN: realtest.SlapdPerson("zara"), Old: zara}, f.next())

	f.cancel()
	<-f.ended
	require.ErrorIs(t, f.err, context.Canceled)
}

func TestWatchLetsACacheForgetWhoChangedAndNobodyElse(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	c := connectReal(t, atSlapd(s.URI()))
	cache := mapping.NewCache(mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
		e, err := c.Lookup(ctx, user)
		if err != nil {
			return mapping.Route{}, err
		}
		return mapping.Route{Host: e.Get("mailHost")}, nil
	}), mapping.CacheOptions{TTL: 24 * time.Hour})
	told := make(chan Change, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		_ = c.Watch(ctx, func(c Change) {
			if c.All {
				cache.InvalidateAll()
			}
			for _, name := range c.Names() {
				cache.Invalidate(name)
			}
			told <- c
		})
	})
	require.True(t, (<-told).All)
	host := func(user string) string {
		r, err := cache.Map(ctx, user)
		require.NoError(t, err)
		return r.Host
	}
	for _, user := range []string{"Alias1@example.test", "user1@example.test", "user2@example.test"} {
		require.NotEqual(t, "moved.example.test", host(user))
	}
	require.NoError(t, s.Set(realtest.SlapdUser(1), "mailHost", "moved.example.test"))
	require.Equal(t, realtest.SlapdUser(1), (<-told).DN)
	var left []string
	for e := range cache.List() {
		left = append(left, e.User)
	}
	require.Equal(t, []string{"user2@example.test"}, left)
	require.Equal(t, "moved.example.test", host("alias1@example.test"))
}

// TestWatchGoesOnWhereItStoodAfterAnOutage lets changes happen while Watch is
// cut off: it tells those, and no others, with each way that slapd has to say
// who is gone.
func TestWatchGoesOnWhereItStoodAfterAnOutage(t *testing.T) {
	for name, o := range map[string]realtest.SlapdOptions{
		"by who is present": {}, "by its log": {Syncprov: "syncprov-sessionlog 100"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSlapd(t, o)
			g := newGate(t, fmt.Sprintf("127.0.0.1:%d", s.LDAP))
			f := follow(t, connectReal(t, atSlapd("ldap://"+g.address)))
			for n := range 5 { // the log begins with a change
				require.NoError(t, s.Set(realtest.SlapdUser(n), "description", "x"))
				require.Equal(t, realtest.SlapdUser(n), f.next().DN)
			}
			g.Shut()
			require.NoError(t, s.Set(realtest.SlapdUser(2), "mail", "new@example.test"))
			require.NoError(t, s.Delete(realtest.SlapdUser(4)))
			require.NoError(t, s.Add(realtest.SlapdPerson("zoe"), realtest.Person("zoe", nil)))
			g.Open(t)

			told := []Change{f.next(), f.next(), f.next()}
			require.ElementsMatch(t, []Change{
				{DN: realtest.SlapdUser(2), Old: []string{"alias2@example.test", "user2", "user2@example.test"},
					New: []string{"alias2@example.test", "new@example.test", "user2", "user2@example.test"}},
				{DN: realtest.SlapdUser(4), Old: []string{"alias4@example.test", "user4", "user4@example.test"}},
				{DN: realtest.SlapdPerson("zoe"), New: []string{"zoe", "zoe@example.test"}},
			}, told)
			require.NoError(t, s.Set(realtest.SlapdUser(3), "description", "y"))
			require.Equal(t, realtest.SlapdUser(3), f.next().DN)
		})
	}
}

func TestWatchFollowsARestartedServer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	f := follow(t, connectReal(t, atSlapd(s.URI())))
	s.Kill()
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Set(realtest.SlapdUser(1), "mailHost", "other.example.test"))
	require.Equal(t, realtest.SlapdUser(1), f.next().DN)
}

func TestWatchTurnsToTheNextServerAndForgetsAll(t *testing.T) {
	first := startSlapd(t, realtest.SlapdOptions{})
	second := startSlapd(t, realtest.SlapdOptions{Of: first})
	c := atSlapd(first.URI(), second.URI())
	c.Retry, c.Timeout = 100*time.Millisecond, 2*time.Second
	f := follow(t, connectReal(t, c))
	require.NoError(t, first.Pause())
	require.True(t, f.next().All)

	require.NoError(t, first.Resume())
	f = follow(t, connectReal(t, c))
	first.Kill()
	require.True(t, f.next().All)
}

func TestWatchSaysWhyADirectoryCanNotBeFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		options realtest.SlapdOptions
		change  func(*Config)
		why     string
	}{
		"no overlay":   {realtest.SlapdOptions{Overlays: []string{}}, func(*Config) {}, "syncprov"},
		"size limit":   {realtest.SlapdOptions{Global: "sizelimit 5"}, func(c *Config) { c.BindDN, c.BindPassword = "", "" }, "size limit"},
		"no such base": {realtest.SlapdOptions{}, func(c *Config) { c.Base = "ou=nowhere," + c.Base }, "base DN"},
	} {
		t.Run(name, func(t *testing.T) {
			config := atSlapd(startSlapd(t, c.options).URI())
			c.change(&config)
			f := startWatch(t, connectReal(t, config))
			<-f.ended
			require.ErrorIs(t, f.err, ErrNoWatch)
			require.ErrorContains(t, f.err, c.why)
		})
	}
}

func TestWatchForgetsAllWhenWhoMayLogInChanges(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	c := atSlapd(s.URI())
	c.Groups.Required = realtest.SlapdGroup("outer")
	f := follow(t, connectReal(t, c))
	require.NoError(t, s.Set(realtest.SlapdGroup("inner"), "member", realtest.SlapdUser(5)))
	require.Equal(t, Change{All: true}, f.next())
}
