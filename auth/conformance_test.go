package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
)

// house knows alice, bob, and carol who is disabled.
func house(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	known := c.User == "alice" || c.User == "bob" || c.User == "carol"
	switch {
	case ctx.Err() != nil:
		return auth.Identity{}, ctx.Err()
	case !known || c.Password != c.User+"'s secret" || c.AuthzID != "" && c.AuthzID != c.User:
		return auth.Identity{}, auth.ErrBadCredentials
	case c.User == "carol":
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: c.User + "@example.test"}, nil
}

func down(context.Context, auth.Credentials) (auth.Identity, error) {
	return auth.Identity{}, errors.New("connection refused")
}

func TestWrappersKeepThePromisesOfAnAuthenticator(t *testing.T) {
	patient := auth.ThrottleOptions{UserFailures: 1000, NetworkFailures: 1000, BanAfter: -1}
	nobody := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, auth.ErrBadCredentials
	})
	for name, wrap := range map[string]func(a auth.Authenticator) auth.Authenticator{
		"bare":            func(a auth.Authenticator) auth.Authenticator { return a },
		"cache":           func(a auth.Authenticator) auth.Authenticator { return auth.NewCache(a, auth.CacheOptions{}) },
		"throttle":        func(a auth.Authenticator) auth.Authenticator { return auth.NewThrottle(a, patient) },
		"chain":           func(a auth.Authenticator) auth.Authenticator { return auth.Chain(a) },
		"end of a chain":  func(a auth.Authenticator) auth.Authenticator { return auth.Chain(nobody, a) },
		"head of a chain": func(a auth.Authenticator) auth.Authenticator { return auth.Chain(a, nobody) },
		"cache of chain": func(a auth.Authenticator) auth.Authenticator {
			return auth.NewCache(auth.Chain(nobody, a), auth.CacheOptions{})
		},
		"throttle of cache": func(a auth.Authenticator) auth.Authenticator {
			return auth.NewThrottle(auth.NewCache(a, auth.CacheOptions{}), patient)
		},
		"cache of throttle": func(a auth.Authenticator) auth.Authenticator {
			return auth.NewCache(auth.NewThrottle(a, patient), auth.CacheOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			authtest.Run(t, authtest.Fixture{
				Auth: wrap(auth.AuthenticatorFunc(house)), User: "alice", Password: "alice's secret", Identity: "alice@example.test",
				Other: "bob", Unknown: "mallory", Disabled: "carol", DisabledPassword: "carol's secret",
				Broken: wrap(auth.AuthenticatorFunc(down)),
			})
		})
	}
}

func TestTheAccountOfTheTestsKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	authtest.Run(t, authtest.Fixture{
		Auth: authtest.Account{User: "alice", Password: "alice's secret", Token: "token"}, User: "alice", Password: "alice's secret", Identity: "alice", Unknown: "mallory",
	})
}
