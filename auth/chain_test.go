package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// answers is an Authenticator that always gives one answer.
type answers struct {
	id    Identity
	err   error
	asked int
}

func (a *answers) Authenticate(context.Context, Credentials) (Identity, error) {
	a.asked++
	return a.id, a.err
}

func TestAChainAsksInOrderUntilOneDecides(t *testing.T) {
	boom := errors.New("connection refused")
	for _, c := range []struct {
		name  string
		links []error // nil: a success
		want  error
		asked int
	}{
		{"success ends", []error{nil, nil}, nil, 1},
		{"unknown goes on", []error{ErrBadCredentials, nil}, nil, 2},
		{"unknown to all", []error{ErrBadCredentials, ErrBadCredentials}, ErrBadCredentials, 2},
		{"disabled ends", []error{ErrDisabled, nil}, ErrDisabled, 1},
		{"disabled later ends", []error{ErrBadCredentials, ErrDisabled, nil}, ErrDisabled, 2},
		{"too many ends", []error{ErrTooMany, nil}, ErrTooMany, 1},
		{"no TLS ends", []error{ErrNeedsTLS, nil}, ErrNeedsTLS, 1},
		{"an outage goes on", []error{ErrUnavailable, nil}, nil, 2},
		{"A05 an outage is no wrong password", []error{ErrUnavailable, ErrBadCredentials}, ErrUnavailable, 2},
		{"A05 a later outage is none either", []error{ErrBadCredentials, ErrUnavailable}, ErrUnavailable, 2},
		{"any other error is an outage", []error{boom, ErrBadCredentials}, ErrUnavailable, 2},
		{"disabled after an outage", []error{ErrUnavailable, ErrDisabled}, ErrDisabled, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var links []Authenticator
			var all []*answers
			for i, err := range c.links {
				a := &answers{err: err}
				if err == nil {
					a.id = Identity{User: []string{"first", "second", "third"}[i]}
				}
				all, links = append(all, a), append(links, a)
			}
			id, err := Chain(links...).Authenticate(t.Context(), Credentials{User: "alice", Password: "secret"})
			require.ErrorIs(t, err, c.want)
			require.Equal(t, err == nil, id != Identity{})
			if c.want == ErrUnavailable {
				require.NotErrorIs(t, err, ErrDisabled)
			}
			for i, a := range all {
				require.Equal(t, i < c.asked, a.asked == 1, "link %d", i)
			}
		})
	}
	_, err := Chain().Authenticate(t.Context(), Credentials{User: "alice", Password: "secret"})
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestAChainAsksNobodyForAClientThatIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	second := &answers{err: ErrBadCredentials}
	first := AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) { cancel(); return Identity{}, ErrBadCredentials })
	_, err := Chain(first, second).Authenticate(ctx, Credentials{User: "alice", Password: "secret"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, second.asked)
}

// powerful has powers that it is told.
type powerful struct {
	answers
	kinds   Kinds
	kind    string
	secret  Secret
	failure error
	name    string
}

func (p *powerful) Proofs() Kinds { return p.kinds }

func (p *powerful) Mechanisms() []MechanismKind {
	return []MechanismKind{{Name: p.kind, Needs: p.kinds, Begin: func() Mechanism { return plain{} }}}
}

func (p *powerful) Secret(context.Context, string, string) (Secret, error) {
	return p.secret, p.failure
}

func (p *powerful) AccountName(context.Context, string) (string, error) {
	if p.name == "" {
		return "", ErrBadCredentials
	}
	return p.name, nil
}

func TestAChainHasThePowersOfItsLinks(t *testing.T) {
	tokens := &powerful{kinds: Tokens, kind: "X-ONE", failure: ErrBadCredentials}
	secrets := &powerful{kinds: ClearSecrets, kind: "x-one", secret: Secret{Scheme: "PLAIN", Value: []byte("s")}, name: "alice"}
	tickets := &powerful{kinds: Tickets, kind: "X-TWO", failure: ErrUnavailable, name: "other"}
	c := Chain(tokens, alice, NewCache(secrets, CacheOptions{}), tickets)

	require.Equal(t, Tokens|Passwords|ClearSecrets|Tickets, ProofsOf(c))
	names := Mechanisms(c, Policy{}, Credentials{Secure: true})
	require.Equal(t, "X-ONE", names[0])
	require.Equal(t, "X-TWO", names[1])
	require.NotContains(t, names, "x-one")
	source, ok := As[SecretSource](c)
	require.True(t, ok)
	secret, err := source.Secret(t.Context(), "alice", "PLAIN")
	require.NoError(t, err)
	require.Equal(t, secrets.secret, secret)
	require.Equal(t, "alice", accountName(t.Context(), c, "al"))
	require.Equal(t, "bob", accountName(t.Context(), Chain(alice), "BOB"), "without a Namer a name is what it is anyway")

	secrets.failure = ErrBadCredentials
	_, err = source.Secret(t.Context(), "alice", "PLAIN")
	require.ErrorIs(t, err, ErrUnavailable, "A05 an outage is no missing secret")
	_, ok = As[Delegator](c)
	require.False(t, ok)
	_, ok = As[Namer](Chain(alice, secrets))
	require.True(t, ok)
}

type namesOnly struct{ Authenticator }

func (namesOnly) AccountName(context.Context, string) (string, error) { return "alice", nil }

type secretsOnly struct{ Authenticator }

func (secretsOnly) Secret(context.Context, string, string) (Secret, error) { return Secret{}, nil }

func TestAChainHasNoPowerThatNoneOfItsLinksHas(t *testing.T) {
	for _, c := range []struct {
		links          []Authenticator
		names, secrets bool
	}{
		{[]Authenticator{alice}, false, false}, {nil, false, false},
		{[]Authenticator{alice, namesOnly{alice}}, true, false}, {[]Authenticator{secretsOnly{alice}, alice}, false, true},
		{[]Authenticator{secretsOnly{alice}, NewCache(namesOnly{alice}, CacheOptions{})}, true, true},
	} {
		chain := Chain(c.links...)
		_, names := As[Namer](chain)
		_, secrets := As[SecretSource](chain)
		require.Equal(t, c.names, names)
		require.Equal(t, c.secrets, secrets)
	}
}

func TestAChainPassesOverWhoCannotCheckWhatWasShown(t *testing.T) {
	down := &answers{err: ErrUnavailable} // checks passwords only
	tokens := &powerful{kinds: Tokens, answers: answers{err: ErrBadCredentials}}
	c := Chain(down, tokens)
	_, err := c.Authenticate(t.Context(), Credentials{Proof: Token("t")})
	require.ErrorIs(t, err, ErrBadCredentials, "who knows no tokens need not be there for one")
	require.NotErrorIs(t, err, ErrUnavailable)
	require.Zero(t, down.asked)
	_, err = c.Authenticate(t.Context(), Credentials{User: "alice", Password: "secret"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, 1, tokens.asked)
	for _, p := range []Proof{&Response{Scheme: "SCRAM-SHA-1"}, &Response{Scheme: "SCRAM-SHA-256"}, &Response{Scheme: "PLAIN"}, &Certificate{}, Ticket{}} {
		_, err = c.Authenticate(t.Context(), Credentials{User: "alice", Proof: p})
		require.ErrorIs(t, err, ErrBadCredentials)
	}
	for scheme, kind := range map[string]Kinds{"SCRAM-SHA-1": SCRAMSHA1Secrets, "SCRAM-SHA-256": SCRAMSHA256Secrets, "PLAIN": ClearSecrets} {
		knows := &powerful{kinds: kind, answers: answers{id: Identity{User: "alice"}}}
		_, err = Chain(down, knows).Authenticate(t.Context(), Credentials{User: "alice", Proof: &Response{Scheme: scheme}})
		require.NoError(t, err, scheme)
	}
}
