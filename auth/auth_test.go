package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = netip.MustParseAddr("192.0.2.1")

// onlyAlice knows alice with password "pw".
func onlyAlice(_ context.Context, c Credentials) (Identity, error) {
	if c.User == "alice" && c.Password == "pw" && (c.AuthzID == "" || c.AuthzID == "alice") {
		return Identity{User: "alice"}, nil
	}
	return Identity{}, ErrBadCredentials
}

func exchange(t *testing.T, mech string) *Exchange {
	t.Helper()
	e, ok := NewExchange(context.Background(), mech, AuthenticatorFunc(onlyAlice), Credentials{Remote: home})
	require.True(t, ok)
	return e
}

func TestPlain(t *testing.T) {
	for response, want := range map[string]error{
		"\x00alice\x00pw": nil, "alice\x00alice\x00pw": nil, "bob\x00alice\x00pw": ErrBadCredentials,
		"\x00alice\x00wrong": ErrBadCredentials, "": ErrBadCredentials, "\x00\x00": ErrBadCredentials, "alice\x00pw": ErrBadCredentials,
		"\x00alice\x00pw\x00": ErrBadCredentials, "\x00\x00pw": ErrBadCredentials, "\x00alice\x00" + strings.Repeat("x", 2000): ErrBadCredentials,
	} {
		e := exchange(t, "plain")
		_, done, err := e.Next([]byte(response))
		require.ErrorIs(t, err, want, "%q", response)
		require.Equal(t, want == nil, done)
		if done {
			require.Equal(t, Identity{User: "alice"}, e.Identity())
		}
		_, _, err = e.Next([]byte("\x00alice\x00pw"))
		require.ErrorIs(t, err, ErrBadCredentials, "an exchange that is over stays so")
	}
}

func TestPlainWithoutInitialResponse(t *testing.T) {
	e := exchange(t, "PLAIN")
	challenge, done, err := e.Next(nil)
	require.NoError(t, err)
	require.False(t, done)
	require.Empty(t, challenge)
	_, done, err = e.Next([]byte("\x00alice\x00pw"))
	require.NoError(t, err)
	require.True(t, done)
}

func TestLogin(t *testing.T) {
	for name, start := range map[string][]byte{"asked": nil, "initial response": []byte("alice")} {
		e := exchange(t, "LOGIN")
		challenge, _, err := e.Next(start)
		require.NoError(t, err)
		if start == nil {
			require.Equal(t, "Username:", string(challenge), name)
			challenge, _, err = e.Next([]byte("alice"))
			require.NoError(t, err)
		}
		require.Equal(t, "Password:", string(challenge))
		_, done, err := e.Next([]byte("pw"))
		require.NoError(t, err)
		require.True(t, done)
	}
}

func TestUnknownMechanism(t *testing.T) {
	_, ok := NewExchange(context.Background(), "NTLM", AuthenticatorFunc(onlyAlice), Credentials{})
	require.False(t, ok)
	_, ok = NewExchange(context.Background(), "PLAIN", nil, Credentials{})
	require.False(t, ok)
	require.Empty(t, Mechanisms(nil))
}

func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", []byte("\x00alice\x00pw"), []byte{})
	f.Add("LOGIN", []byte("alice"), []byte("pw"))
	f.Fuzz(func(t *testing.T, mech string, first, second []byte) {
		e, ok := NewExchange(context.Background(), mech, AuthenticatorFunc(onlyAlice), Credentials{})
		if !ok {
			return
		}
		for _, response := range [][]byte{nil, first, second, second} {
			if _, done, err := e.Next(response); done || err != nil {
				require.Equal(t, done && err == nil, e.Identity() != Identity{})
				return
			}
		}
		t.Fatal("an exchange of four responses did not end")
	})
}

func TestPasswordHashes(t *testing.T) {
	hash, err := HashPassword("s3cret")
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$`, hash)
	other, err := HashPassword("s3cret")
	require.NoError(t, err)
	require.NotEqual(t, hash, other, "each hash has a salt of its own")
	for password, want := range map[string]bool{"s3cret": true, "S3cret": false, "": false, "s3cret ": false} {
		ok, err := VerifyPassword(hash, password)
		require.NoError(t, err)
		require.Equal(t, want, ok, "%q", password)
	}
	for _, bad := range []string{"", "s3cret", "$argon2id$", "$1$abc$def", "{PLAIN}s3cret", "$unknown$x"} {
		ok, err := VerifyPassword(bad, "s3cret")
		require.Error(t, err, bad)
		require.False(t, ok)
	}
	_, err = HashPassword(strings.Repeat("x", maxPassword+1))
	require.Error(t, err)
	ok, err := VerifyPassword("$6$posthouse$nUjvhacgJyawCJ8l45apX8ZigBi/567TLv5rHDkYn6MuT76sIASZd5WY7Bt3xDL6y7bgFwjNX88dyDiz9kxLT0", "Hello world!")
	require.NoError(t, err)
	require.True(t, ok, "SHA-512 crypt")
}

func TestCredentialsDoNotShowThePassword(t *testing.T) {
	c := Credentials{User: "alice", Password: "s3cret", Remote: home}
	require.NotContains(t, fmt.Sprint(c)+fmt.Sprintf("%v %+v %s", c, c, c), "s3cret")
}

// counting counts how often it is asked.
type counting struct {
	Authenticator
	asked atomic.Int32
}

func (c *counting) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	c.asked.Add(1)
	return c.Authenticator.Authenticate(ctx, creds)
}

func TestCacheRemembersSuccessesOnly(t *testing.T) {
	now := time.Unix(1000, 0)
	below := &counting{Authenticator: AuthenticatorFunc(onlyAlice)}
	c := NewCache(below, CacheOptions{TTL: time.Minute, Now: func() time.Time { return now }})
	good, bad := Credentials{User: "alice", Password: "pw"}, Credentials{User: "alice", Password: "wrong"}
	for range 3 {
		id, err := c.Authenticate(context.Background(), good)
		require.NoError(t, err)
		require.Equal(t, "alice", id.User)
		_, err = c.Authenticate(context.Background(), bad)
		require.ErrorIs(t, err, ErrBadCredentials)
	}
	require.EqualValues(t, 1+3, below.asked.Load())
	now = now.Add(time.Minute)
	_, _ = c.Authenticate(context.Background(), good)
	require.EqualValues(t, 5, below.asked.Load(), "a success is forgotten after its time")
	_, _ = c.Authenticate(context.Background(), Credentials{User: "alice", Password: "pw", Service: "pop3"})
	require.EqualValues(t, 6, below.asked.Load(), "a service that may be forbidden asks for itself")
}

func TestA08ForgottenUserIsAskedForAgain(t *testing.T) {
	password := "pw"
	c := NewCache(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
		if c.Password != password {
			return Identity{}, ErrBadCredentials
		}
		return Identity{User: c.User}, nil
	}), CacheOptions{})
	for _, user := range []string{"alice", "bob"} {
		_, err := c.Authenticate(context.Background(), Credentials{User: user, Password: "pw"})
		require.NoError(t, err)
	}
	password = "changed"
	c.Forget("alice")
	_, err := c.Authenticate(context.Background(), Credentials{User: "alice", Password: "pw"})
	require.ErrorIs(t, err, ErrBadCredentials)
	_, err = c.Authenticate(context.Background(), Credentials{User: "bob", Password: "pw"})
	require.NoError(t, err, "within the documented bound")
}

func TestForgetWhileAskingIsNotUndone(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	below := &counting{Authenticator: AuthenticatorFunc(func(ctx context.Context, c Credentials) (Identity, error) {
		if c.User == "slow" {
			inside <- struct{}{}
			<-goOn
		}
		return Identity{User: c.User}, nil
	})}
	c := NewCache(below, CacheOptions{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Authenticate(context.Background(), Credentials{User: "slow", Password: "old"})
	}()
	<-inside
	c.Forget("slow")
	goOn <- struct{}{}
	<-done
	go func() { <-inside; goOn <- struct{}{} }()
	_, _ = c.Authenticate(context.Background(), Credentials{User: "slow", Password: "old"})
	require.EqualValues(t, 2, below.asked.Load())
}

func TestConcurrentLoginsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Authenticator: AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
			time.Sleep(time.Second)
			return Identity{User: c.User}, nil
		})}
		c := NewCache(below, CacheOptions{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				id, err := c.Authenticate(context.Background(), Credentials{User: "alice", Password: "pw"})
				require.NoError(t, err)
				require.Equal(t, "alice", id.User)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, below.asked.Load())
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) { return Identity{User: c.User}, nil }), CacheOptions{Size: 10})
	for i := range 100 {
		_, _ = c.Authenticate(context.Background(), Credentials{User: fmt.Sprint(i), Password: "pw"})
	}
	require.Len(t, c.entries, 10)
	require.Equal(t, 10, c.order.Len())
}

func newThrottle(below Authenticator) (*Throttle, *time.Time) {
	now := time.Unix(1000, 0)
	return NewThrottle(below, ThrottleOptions{Free: 3, Delay: time.Second, Longest: time.Minute, Forget: time.Hour, Size: 100, Now: func() time.Time { return now }}), &now
}

func TestA13GuessingAUserFromManyNetworksIsSlowedDownAndAKnownOneStillGetsIn(t *testing.T) {
	th, _ := newThrottle(AuthenticatorFunc(onlyAlice))
	ctx := context.Background()
	_, err := th.Authenticate(ctx, Credentials{User: "alice", Password: "pw", Remote: home})
	require.NoError(t, err)
	tooMany := 0
	for i := range 100 {
		remote := netip.AddrFrom4([4]byte{198, 51, byte(i), 1})
		if _, err := th.Authenticate(ctx, Credentials{User: "alice", Password: fmt.Sprint(i), Remote: remote}); errors.Is(err, ErrTooMany) {
			tooMany++
		}
	}
	require.Equal(t, 97, tooMany)
	_, err = th.Authenticate(ctx, Credentials{User: "alice", Password: "pw", Remote: home})
	require.NoError(t, err)
}

func TestA13GuessingManyUsersFromOneNetworkIsSlowedDown(t *testing.T) {
	th, now := newThrottle(AuthenticatorFunc(onlyAlice))
	ctx := context.Background()
	for i := range 3 {
		_, err := th.Authenticate(ctx, Credentials{User: fmt.Sprint("user", i), Password: "x", Remote: netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1))})
		require.ErrorIs(t, err, ErrBadCredentials)
	}
	same := Credentials{User: "alice", Password: "pw", Remote: netip.MustParseAddr("2001:db8::ffff")}
	_, err := th.Authenticate(ctx, same)
	require.ErrorIs(t, err, ErrTooMany, "the whole /64 waits")
	*now = now.Add(time.Second)
	_, err = th.Authenticate(ctx, same)
	require.NoError(t, err, "but not for ever")
}

func TestA06SpellingsOfOneNameShareACount(t *testing.T) {
	th, _ := newThrottle(AuthenticatorFunc(onlyAlice))
	for i, name := range []string{"alice@example.test", "ALICE@example.test", "alice+x@Example.Test"} {
		_, err := th.Authenticate(context.Background(), Credentials{User: name, Remote: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
		require.ErrorIs(t, err, ErrBadCredentials)
	}
	_, err := th.Authenticate(context.Background(), Credentials{User: "alice@example.test", Remote: home})
	require.ErrorIs(t, err, ErrTooMany)
}

func TestDelaysGrowUpToTheLongestAndAreForgotten(t *testing.T) {
	th, now := newThrottle(AuthenticatorFunc(onlyAlice))
	bad := Credentials{User: "alice", Password: "x", Remote: home}
	for range 20 {
		_, err := th.Authenticate(context.Background(), bad)
		require.ErrorIs(t, err, ErrBadCredentials)
		*now = now.Add(time.Minute) // the longest delay
	}
	*now = now.Add(time.Hour)
	for range 3 {
		_, err := th.Authenticate(context.Background(), bad)
		require.ErrorIs(t, err, ErrBadCredentials, "the count began anew")
	}
}

func TestUnavailableIsNoFailureOfTheUser(t *testing.T) {
	th, _ := newThrottle(AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) { return Identity{}, ErrUnavailable }))
	for range 100 {
		_, err := th.Authenticate(context.Background(), Credentials{User: "alice", Remote: home})
		require.ErrorIs(t, err, ErrUnavailable)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th, _ := newThrottle(AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
		if c.Password == "pw" {
			return Identity{User: c.User}, nil
		}
		return Identity{}, ErrBadCredentials
	}))
	for i := range 1000 {
		remote := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		_, _ = th.Authenticate(context.Background(), Credentials{User: fmt.Sprint("bad", i), Remote: remote})
		_, _ = th.Authenticate(context.Background(), Credentials{User: fmt.Sprint("good", i), Password: "pw", Remote: remote})
	}
	require.LessOrEqual(t, len(th.users), 100)
	require.LessOrEqual(t, len(th.networks), 100)
	require.LessOrEqual(t, len(th.known), 100)
}

func TestAsFindsPowersThroughWrappers(t *testing.T) {
	secrets := &withSecrets{Authenticator: AuthenticatorFunc(onlyAlice)}
	wrapped := NewCache(NewThrottle(secrets, ThrottleOptions{}), CacheOptions{})
	found, ok := As[SecretSource](wrapped)
	require.True(t, ok)
	require.Same(t, secrets, found)
}

type withSecrets struct{ Authenticator }

func (*withSecrets) Secret(context.Context, string) (Secret, error) { return Secret{}, nil }

func BenchmarkLogin(b *testing.B) {
	hash, err := HashPassword("pw")
	require.NoError(b, err)
	slow := AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
		if ok, err := VerifyPassword(hash, c.Password); !ok {
			return Identity{}, errors.Join(ErrBadCredentials, err)
		}
		return Identity{User: c.User}, nil
	})
	for name, a := range map[string]Authenticator{"argon2id": slow, "remembered": NewCache(slow, CacheOptions{})} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := a.Authenticate(context.Background(), Credentials{User: "alice", Password: "pw"})
				require.NoError(b, err)
			}
		})
	}
}
