package authtest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/internal/mutation"
)

// house knows alice, bob, and carol who is disabled. Faults can be built in.
type house struct {
	mu        sync.Mutex
	passwords map[string]string
	how       behaviour
}

// behaviour is what faults change.
type behaviour struct {
	authenticate func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error)
	accountName  func(h *house, login string) (string, error)
	secret       func(h *house, user, scheme string) (auth.Secret, error)
	setPassword  func(h *house, password string)
	outage       error
}

func good() behaviour {
	return behaviour{
		authenticate: (*house).check,
		accountName: func(h *house, login string) (string, error) {
			if _, ok := h.password(login); !ok {
				return "", auth.ErrBadCredentials
			}
			return login + "@example.test", nil
		},
		secret: func(h *house, user, scheme string) (auth.Secret, error) {
			if password, ok := h.password(user); ok {
				return auth.Secret{Scheme: "PLAIN", Value: []byte(password)}, nil
			}
			return auth.Secret{}, auth.ErrBadCredentials
		},
		setPassword: func(h *house, password string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.passwords["alice"] = password
		},
		outage: errors.New("connection refused"),
	}
}

func (h *house) password(user string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	password, ok := h.passwords[user]
	return password, ok
}

func (h *house) check(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	password, known := h.password(c.User)
	fits := c.Proof == nil && c.Password == password
	if r, ok := c.Proof.(*auth.Response); ok && known && strings.Contains("PLAIN SCRAM-SHA-1 SCRAM-SHA-256", r.Scheme) {
		fits = r.Check(auth.Secret{Scheme: "PLAIN", Value: []byte(password)})
	}
	switch {
	case ctx.Err() != nil:
		return auth.Identity{}, ctx.Err()
	case !known || !fits || c.AuthzID != "" && c.AuthzID != c.User:
		return auth.Identity{}, auth.ErrBadCredentials
	case c.User == "carol":
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: c.User + "@example.test"}, nil
}

func (h *house) Proofs() auth.Kinds { return auth.Passwords | auth.ClearSecrets }

func (h *house) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	return h.how.authenticate(h, ctx, c)
}

func (h *house) AccountName(_ context.Context, login string) (string, error) {
	return h.how.accountName(h, login)
}

func (h *house) Secret(_ context.Context, user, scheme string) (auth.Secret, error) {
	return h.how.secret(h, user, scheme)
}

// fault is one way in which an Authenticator can be wrong.
type fault struct {
	name, caught string
	breaks       func(*behaviour)
}

// answer is a fault of Authenticate: it changes some answers of one that is good.
func answer(change func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error)) func(*behaviour) {
	return func(b *behaviour) {
		b.authenticate = func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			id, err := h.check(ctx, c)
			return change(c, id, err)
		}
	}
}

var somebody = auth.Identity{User: "alice@example.test"}

var faults = []fault{
	{"names somebody else", "TheRightPasswordProvesTheIdentity", answer(func(_ auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		return auth.Identity{User: strings.ToUpper(id.User)}, err
	})},
	{"cuts passwords at NUL", "AnythingElseProvesNothing", func(b *behaviour) {
		b.authenticate = func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			c.Password, _, _ = strings.Cut(c.Password, "\x00")
			return h.check(ctx, c)
		}
	}},
	{"trims passwords", "AnythingElseProvesNothing", func(b *behaviour) {
		b.authenticate = func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			c.Password = strings.TrimSpace(c.Password)
			return h.check(ctx, c)
		}
	}},
	{"shows the password in the error", "AnythingElseProvesNothing", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if errors.Is(err, auth.ErrBadCredentials) {
			err = errors.Join(err, errors.New("not "+c.Password))
		}
		return id, err
	})},
	{"gives an identity with a failure", "AnythingElseProvesNothing", answer(func(_ auth.Credentials, _ auth.Identity, err error) (auth.Identity, error) { return somebody, err })},
	{"cuts names at NUL", "A01HostileNamesAreNobody", func(b *behaviour) {
		b.authenticate = func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			c.User, _, _ = strings.Cut(c.User, "\x00")
			return h.check(ctx, c)
		}
	}},
	{"takes an empty password for an anonymous bind", "A02AnEmptyPasswordProvesNothing", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if c.Password == "" {
			return somebody, nil
		}
		return id, err
	})},
	{"lets anybody act for anybody", "A09NobodyActsForSomebodyElse", func(b *behaviour) {
		b.authenticate = func(h *house, ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			c.AuthzID = ""
			return h.check(ctx, c)
		}
	}},
	{"lets nobody act for himself", "A09NobodyActsForSomebodyElse", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if c.AuthzID != "" {
			return auth.Identity{}, auth.ErrBadCredentials
		}
		return id, err
	})},
	{"lets the disabled in", "A14MissingDisabledAndWrongAreOneKind", answer(func(_ auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if errors.Is(err, auth.ErrDisabled) {
			return auth.Identity{User: "carol@example.test"}, nil
		}
		return id, err
	})},
	{"tells who is disabled without his password", "A14MissingDisabledAndWrongAreOneKind", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if c.User == "carol" {
			return auth.Identity{}, auth.ErrDisabled
		}
		return id, err
	})},
	{"takes an outage for a wrong password", "A05ABrokenSourceIsUnavailable", func(b *behaviour) { b.outage = auth.ErrBadCredentials }},
	{"takes an end of the context for a wrong password", "AnEndedContextIsNoAnswerAboutThePassword", answer(func(_ auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if errors.Is(err, context.Canceled) {
			return auth.Identity{}, auth.ErrBadCredentials
		}
		return id, err
	})},
	{"gives the account another name", "A06TheAccountsNameIsTheIdentity", func(b *behaviour) {
		b.accountName = func(_ *house, login string) (string, error) { return login, nil }
	}},
	{"gives a secret of nobody", "SecretsAreOfWhoHasThem", func(b *behaviour) {
		b.secret = func(*house, string, string) (auth.Secret, error) {
			return auth.Secret{Scheme: "PLAIN", Value: []byte("x")}, nil
		}
	}},
	{"gives an empty secret", "SecretsAreOfWhoHasThem", func(b *behaviour) {
		b.secret = func(*house, string, string) (auth.Secret, error) { return auth.Secret{Scheme: "PLAIN"}, nil }
	}},
	{"takes every proof for a good one", "Proofs/ProofsOfOtherKindsProveNothing", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if c.Proof != nil {
			return somebody, nil
		}
		return id, err
	})},
	{"decides about a response without its secret", "Proofs/ResponseOfPLAIN", answer(func(c auth.Credentials, id auth.Identity, err error) (auth.Identity, error) {
		if _, ok := c.Proof.(*auth.Response); ok && c.User == "alice" {
			return somebody, nil
		}
		return id, err
	})},
	{"keeps the old password", "A08AChangedPasswordIsGoodNoMore", func(b *behaviour) { b.setPassword = func(*house, string) {} }},
}

// broken is a house whose source can't be asked.
type broken struct{ err error }

func (b broken) Authenticate(context.Context, auth.Credentials) (auth.Identity, error) {
	return auth.Identity{}, b.err
}

// TestSuiteUnderMutation runs the suite against the house that faults are
// built into. Without one it must pass, or what they show is nothing.
func TestSuiteUnderMutation(t *testing.T) {
	how := good()
	if name := mutation.Chosen(); name != "" {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		require.GreaterOrEqual(t, i, 0)
		faults[i].breaks(&how)
	}
	h := &house{how: how, passwords: map[string]string{"alice": "alice's secret", "bob": "bob's secret", "carol": "carol's secret"}}
	t.Run("Suite", func(t *testing.T) {
		authtest.Run(t, authtest.Fixture{
			Auth: h, User: "alice", Password: "alice's secret", Identity: "alice@example.test", Other: "bob", Unknown: "mallory",
			Disabled: "carol", DisabledPassword: "carol's secret", Broken: broken{how.outage},
			SetPassword: func(_ *testing.T, password string) { how.setPassword(h, password) },
		})
	})
}

// TestSuiteCatchesEveryMutation breaks the house in one way at a time and
// requires that the tests of the suite that must notice it do.
func TestSuiteCatchesEveryMutation(t *testing.T) {
	var all []mutation.Mutation
	for _, f := range faults {
		all = append(all, mutation.Mutation{Name: f.name, Caught: "Suite/" + f.caught})
	}
	mutation.Prove(t, "TestSuiteUnderMutation", all)
}
