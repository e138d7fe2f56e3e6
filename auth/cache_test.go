package auth

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCacheRemembersSuccessesOnlyAndForItsTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Authenticator: alice}
		c := NewCache(below, CacheOptions{TTL: time.Minute})
		good, bad := Credentials{User: "alice", Password: "secret"}, Credentials{User: "alice", Password: "wrong"}
		for range 3 {
			id, err := c.Authenticate(t.Context(), good)
			require.NoError(t, err)
			require.Equal(t, "alice@example.test", id.User)
			_, err = c.Authenticate(t.Context(), bad)
			require.ErrorIs(t, err, ErrBadCredentials)
		}
		require.EqualValues(t, 1+3, below.asked.Load())
		time.Sleep(time.Minute)
		_, _ = c.Authenticate(t.Context(), good)
		require.EqualValues(t, 5, below.asked.Load(), "a success is forgotten after its time")
	})
}

func TestA15CacheAsksForEachServiceIdentityAndAddress(t *testing.T) {
	below := &counting{Authenticator: trusting}
	c := NewCache(below, CacheOptions{})
	for i, creds := range []Credentials{
		{Service: "imap", User: "alice", Password: "secret"}, {Service: "submission", User: "alice", Password: "secret"},
		{Service: "imap", User: "alice", Password: "secret", Secure: true}, {Service: "imap", User: "alice", Password: "secret", AuthzID: "bob"},
		{Service: "imap", User: "alices", Password: "ecret"}, {Service: "imap", User: "alice", Password: "secret "},
		{Service: "imap", User: "alice", Password: "secret", Remote: home}, {Service: "imap", User: "alice", Password: "secret", Remote: abroad},
	} {
		for range 2 {
			_, err := c.Authenticate(t.Context(), creds)
			require.NoError(t, err)
			require.EqualValues(t, i+1, below.asked.Load(), "%#v", creds)
		}
	}
}

func TestA08ForgottenUserIsAskedForAgain(t *testing.T) {
	password := "old"
	c := NewCache(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
		if c.Password != password {
			return Identity{}, ErrBadCredentials
		}
		return Identity{User: NormalName(c.User)}, nil
	}), CacheOptions{})
	for _, user := range []string{"alice", "ALICE+tag", "bob"} {
		_, err := c.Authenticate(t.Context(), Credentials{User: user, Password: "old"})
		require.NoError(t, err)
	}
	password = "new"
	c.Forget("alice")
	for _, user := range []string{"alice", "ALICE+tag"} {
		_, err := c.Authenticate(t.Context(), Credentials{User: user, Password: "old"})
		require.ErrorIs(t, err, ErrBadCredentials, user)
	}
	_, err := c.Authenticate(t.Context(), Credentials{User: "bob", Password: "old"})
	require.NoError(t, err, "who was not forgotten is good for the documented time")
	c.ForgetAll()
	_, err = c.Authenticate(t.Context(), Credentials{User: "bob", Password: "old"})
	require.ErrorIs(t, err, ErrBadCredentials)
}

func TestA08ForgetIsNotUndoneByWhatIsBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		password := "old"
		below := &counting{Authenticator: AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			right := c.Password == password
			time.Sleep(time.Second) // a hash takes its time
			if !right {
				return Identity{}, ErrBadCredentials
			}
			return Identity{User: c.User}, nil
		})}
		c := NewCache(below, CacheOptions{})
		old := Credentials{User: "alice", Password: "old"}
		before := make(chan error, 1)
		go func() { _, err := c.Authenticate(t.Context(), old); before <- err }()
		synctest.Wait()
		password = "new"
		c.Forget("alice")
		_, err := c.Authenticate(t.Context(), old)
		require.ErrorIs(t, err, ErrBadCredentials, "who comes after the change does not join who came before")
		require.NoError(t, <-before)
		_, err = c.Authenticate(t.Context(), old)
		require.ErrorIs(t, err, ErrBadCredentials, "what was asked for before the change is not remembered")
	})
}

func TestConcurrentLoginsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Authenticator: AuthenticatorFunc(func(ctx context.Context, c Credentials) (Identity, error) {
			time.Sleep(time.Second)
			return Identity{User: c.User}, ctx.Err()
		})}
		c := NewCache(below, CacheOptions{})
		var all sync.WaitGroup
		for i := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			all.Go(func() {
				id, err := c.Authenticate(ctx, Credentials{User: "alice", Password: "secret"})
				if i == 0 {
					require.ErrorIs(t, err, ErrUnavailable, "who left")
					return
				}
				require.NoError(t, err)
				require.Equal(t, "alice", id.User)
			})
			synctest.Wait()
			if i == 0 {
				cancel()
				synctest.Wait()
			}
		}
		all.Wait()
		require.EqualValues(t, 1, below.asked.Load())
	})
}

func TestPanicBelowACacheIsAFailureOfOneLogin(t *testing.T) {
	c := NewCache(AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) { panic("as asked") }), CacheOptions{})
	_, err := c.Authenticate(t.Context(), Credentials{User: "alice", Password: "secret"})
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestCacheIsBounded(t *testing.T) {
	below := &counting{Authenticator: trusting}
	c := NewCache(below, CacheOptions{Size: 10})
	for i := range 100 {
		for _, user := range []string{fmt.Sprint(i), "often"} {
			_, err := c.Authenticate(t.Context(), Credentials{User: user, Password: "x"})
			require.NoError(t, err)
		}
	}
	require.Len(t, c.shards, 1)
	require.Equal(t, 10, c.shards[0].successes.Len())
	require.EqualValues(t, 101, below.asked.Load(), "who logs in often stays")
}

func TestShardsOfACacheAreBoundedTogether(t *testing.T) {
	for _, size := range []int{1, 1023, 2048, 5000, 100_000, 1_000_000} {
		n, each := shardsFor(size)
		require.LessOrEqual(t, n*each, size)
		require.Greater(t, n*each, size-n)
	}
	below := &counting{Authenticator: trusting}
	c := NewCache(below, CacheOptions{Size: 4096})
	for i := range 10_000 {
		_, err := c.Authenticate(t.Context(), Credentials{User: fmt.Sprint(i), Password: "x"})
		require.NoError(t, err)
	}
	total := 0
	for i := range c.shards {
		total += c.shards[i].successes.Len()
	}
	require.Equal(t, 4096, total)
	c.Forget("9999")
	_, err := c.Authenticate(t.Context(), Credentials{User: "9999", Password: "x"})
	require.NoError(t, err)
	require.EqualValues(t, 10_001, below.asked.Load())
}

func TestA08APasswordChangedElsewhereIsGoodForTheTimeToLiveAtTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		password := "old"
		c := NewCache(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			if c.Password != password {
				return Identity{}, ErrBadCredentials
			}
			return Identity{User: c.User}, nil
		}), CacheOptions{TTL: time.Minute})
		login := func(password string) error {
			_, err := c.Authenticate(t.Context(), Credentials{User: "alice", Password: password})
			return err
		}
		require.NoError(t, login("old"))
		password = "new"
		require.NoError(t, login("new"), "the new one is good at once")
		for range 59 { // using the old one does not make it good for longer
			time.Sleep(time.Second)
			require.NoError(t, login("old"))
		}
		time.Sleep(time.Second)
		require.ErrorIs(t, login("old"), ErrBadCredentials)
		require.NoError(t, login("new"))
	})
}

func TestA05WarmSuccessesSurviveAnOutageForTheTimeToLiveOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outage error
		c := NewCache(AuthenticatorFunc(func(ctx context.Context, c Credentials) (Identity, error) {
			if outage != nil {
				return Identity{}, outage
			}
			return alice(ctx, c)
		}), CacheOptions{TTL: time.Minute})
		login := func(password string) error {
			_, err := c.Authenticate(t.Context(), Credentials{User: "alice", Password: password})
			return err
		}
		require.NoError(t, login("secret"))
		outage = ErrUnavailable
		for range 59 {
			time.Sleep(time.Second)
			require.NoError(t, login("secret"), "warm")
			require.ErrorIs(t, login("other"), ErrUnavailable, "cold: nobody knows whether it is wrong")
		}
		time.Sleep(time.Second)
		require.ErrorIs(t, login("secret"), ErrUnavailable)
		outage = nil
		require.NoError(t, login("secret"), "an outage is not remembered")
	})
}
