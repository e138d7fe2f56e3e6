package oauth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// broken is a directory that can't be asked.
type broken struct{}

func (broken) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, errors.New("connection refused")
}

// source is an issuer of keys in memory. Its answers take a second.
type keySource struct {
	mu    sync.Mutex
	kid   string
	err   error
	asked int
}

func (s *keySource) fetch(context.Context) (keySet, error) {
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return nil, s.err
	}
	return keySet{s.kid: {{public: rsaKey().Public()}}}, nil
}

func (s *keySource) cache() *keyCache {
	return &keyCache{fetch: s.fetch, refresh: time.Hour, stale: 24 * time.Hour}
}

func TestKeysAreFetchedOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keySource{kid: "one"}
		c := s.cache()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				set, err := c.current(t.Context())
				if err != nil || len(set["one"]) != 1 {
					t.Errorf("got %v, %v", set, err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, s.asked)
	})
}

func TestAnUnknownKidFetchesKeysOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keySource{kid: "one"}
		c := s.cache()
		_, err := c.current(t.Context())
		require.NoError(t, err)
		s.kid = "two"
		for range 100 {
			set, err := c.renewed(t.Context())
			require.NoError(t, err)
			require.Contains(t, set, "one")
		}
		require.Equal(t, 1, s.asked)
		time.Sleep(time.Minute)
		for range 100 {
			set, err := c.renewed(t.Context())
			require.NoError(t, err)
			require.Contains(t, set, "two")
		}
		require.Equal(t, 2, s.asked)
	})
}

func TestA05StaleKeysServeWhileTheIssuerIsDownAndNobodyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keySource{kid: "one"}
		c := s.cache()
		_, err := c.current(t.Context())
		require.NoError(t, err)
		s.err = errors.New("connection refused")
		time.Sleep(2 * time.Hour)
		_, err = c.current(t.Context()) // this one finds out
		require.NoError(t, err)
		for range 10 {
			began := time.Now()
			_, err = c.current(t.Context())
			require.NoError(t, err)
			require.Zero(t, time.Since(began))
			time.Sleep(15 * time.Second)
		}
		_, err = c.renewed(t.Context()) // a kid that may be new
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, err, s.err)
		asked := s.asked
		for range 100 {
			_, _ = c.renewed(t.Context())
		}
		require.Equal(t, asked, s.asked, "one that is down is not asked again at once")
		time.Sleep(23 * time.Hour)
		_, err = c.current(t.Context())
		require.ErrorIs(t, err, auth.ErrUnavailable, "keys may not get any older")
		s.mu.Lock()
		s.err, s.kid = nil, "two"
		s.mu.Unlock()
		time.Sleep(pauseDown)
		set, err := c.current(t.Context())
		require.NoError(t, err)
		require.Contains(t, set, "two")
	})
}

func TestWhoGivesUpWaitingForKeysGetsNoVerdictAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keySource{kid: "one"}
		c := s.cache()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := c.current(ctx)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		set, err := c.current(t.Context())
		require.NoError(t, err)
		require.Contains(t, set, "one")
		require.Equal(t, 1, s.asked)
	})
}

func TestAPanicOfAFetchIsAnIssuerThatIsDown(t *testing.T) {
	c := &keyCache{fetch: func(context.Context) (keySet, error) { panic("broken") }, refresh: time.Hour, stale: time.Hour}
	_, err := c.current(t.Context())
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestKeysThatTheIssuerChangesAreFound(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	_, err := show(t, a, s.token())
	require.NoError(t, err)
	key := edKey()
	s.set(func() {
		s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "two"}}}
	})
	keys := a.source.(*jwt).keys
	keys.mu.Lock()
	keys.tried = keys.tried.Add(-pauseKnown)
	keys.mu.Unlock()
	_, err = show(t, a, sign(jose.EdDSA, key, map[string]any{"kid": "two"}, s.claims()))
	require.NoError(t, err)
	_, err = show(t, a, s.token())
	require.ErrorIs(t, err, auth.ErrBadCredentials, "a key that was withdrawn")
}
