package auth

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home   = netip.MustParseAddr("192.0.2.1")
	abroad = netip.MustParseAddr("198.51.100.7")
)

// alice knows one account, in any spelling that NormalName makes equal.
var alice = AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
	if n := NormalName(c.User); (n == "alice" || n == "alice@example.test") && c.Password == "secret" {
		return Identity{User: "alice@example.test"}, nil
	}
	return Identity{}, ErrBadCredentials
})

// trusting lets everybody in.
var trusting = AuthenticatorFunc(func(_ context.Context, c Credentials) (Identity, error) {
	return Identity{User: c.User}, nil
})

// counting counts how often it is asked.
type counting struct {
	Authenticator
	asked atomic.Int32
}

func (c *counting) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	c.asked.Add(1)
	return c.Authenticator.Authenticate(ctx, creds)
}

type withPowers struct{ Authenticator }

func (withPowers) Secret(context.Context, string, string) (Secret, error) { return Secret{}, nil }

func (withPowers) AccountName(_ context.Context, login string) (string, error) {
	if login == "al" {
		return "alice", nil
	}
	return "", ErrBadCredentials
}

func TestAsFindsPowersThroughWrappers(t *testing.T) {
	wrapped := NewThrottle(NewCache(withPowers{alice}, CacheOptions{}), ThrottleOptions{})
	_, ok := As[SecretSource](wrapped)
	require.True(t, ok)
	_, ok = As[interface{ Nothing() }](wrapped)
	require.False(t, ok)
}

func TestA06SpellingsOfOneLoginHaveOneName(t *testing.T) {
	for name, spellings := range map[string][]string{
		"alice":                         {"alice", "ALICE", "Alice+tag", "al"},
		"alice@example.test":            {"alice@example.test", "Alice@EXAMPLE.test", "alice+tag@example.test.", `"alice"@example.test`},
		"jürgen@xn--mnchen-3ya.example": {"Jürgen@münchen.example", "ju\u0308rgen@MÜNCHEN.example"},
		"":                              {""},
		"@":                             {"@"},
		"+x":                            {"+x"},
	} {
		for _, s := range spellings {
			require.Equal(t, name, accountName(t.Context(), withPowers{alice}, s), s)
		}
	}
}
