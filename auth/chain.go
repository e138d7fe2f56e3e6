package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Chain returns an Authenticator that asks others in order:
//
//   - a success ends it, and so do ErrDisabled, ErrNeedsTLS and ErrTooMany;
//   - after ErrBadCredentials the next is asked: to be unknown here and to have
//     a wrong password here are not told apart;
//   - after ErrUnavailable, or any other error, the next is asked, too, and may
//     let the user in. If none does, the answer is ErrUnavailable: who could not
//     be asked may be the one who knows him, and an outage is never a wrong
//     password.
//
// Who can't check what was shown (see Prover) is passed over, so that he need
// not be there for it. When nobody can, it is ErrBadCredentials; a Chain of
// nobody is ErrUnavailable.
//
// A name that several know is several accounts: any of their passwords is good,
// and the identity is that of the first whose password it is. An answer takes
// the time of all who were asked: how long a failure takes tells nothing, but a
// success in the first of several is faster than any failure.
//
// A Chain has the powers of its links: it proves what any of them does, has
// the mechanisms of all, and asks those that are a SecretSource or a Namer in
// order; it is one of these when any of them is. It is no Delegator, because
// who acts for others in one has no such right in another. Put a Cache or a
// Throttle around a Chain, not into it, so that one counter knows all attempts.
func Chain(links ...Authenticator) Authenticator {
	c := chain(slices.Clone(links))
	names, secrets := chainNames(powersOf[Namer](c)), chainSecrets(powersOf[SecretSource](c))
	switch {
	case len(names) > 0 && len(secrets) > 0:
		return struct {
			chain
			chainNames
			chainSecrets
		}{c, names, secrets}
	case len(names) > 0:
		return struct {
			chain
			chainNames
		}{c, names}
	case len(secrets) > 0:
		return struct {
			chain
			chainSecrets
		}{c, secrets}
	}
	return c
}

// chain is what every Chain is; the others are what some are.
type (
	chain        []Authenticator
	chainNames   []Namer
	chainSecrets []SecretSource
)

var (
	_ Prover       = chain(nil)
	_ Mechanist    = chain(nil)
	_ Namer        = chainNames(nil)
	_ SecretSource = chainSecrets(nil)
)

// powersOf returns those of the links that have a power.
func powersOf[T any](c chain) (all []T) {
	for _, a := range c {
		if power, ok := As[T](a); ok {
			all = append(all, power)
		}
	}
	return all
}

var errNobody = errors.New("nobody is there to ask")

// Authenticate asks in order.
func (c chain) Authenticate(ctx context.Context, creds Credentials) (Identity, error) {
	return firstAnswer(ctx, c, func(a Authenticator) (Identity, error) {
		if ProofsOf(a)&kindsOf(creds.Proof) == 0 {
			return Identity{}, ErrBadCredentials
		}
		return a.Authenticate(ctx, creds)
	})
}

// firstAnswer asks each link until one of them decides, as Chain says.
func firstAnswer[L, T any](ctx context.Context, c []L, ask func(L) (T, error)) (T, error) {
	var none T
	if len(c) == 0 {
		return none, fmt.Errorf("%w: %w", ErrUnavailable, errNobody)
	}
	var outages []error
	for _, a := range c {
		if err := ctx.Err(); err != nil {
			return none, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		answer, err := ask(a)
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, ErrDisabled), errors.Is(err, ErrNeedsTLS), errors.Is(err, ErrTooMany):
			return none, err
		case !errors.Is(err, ErrBadCredentials):
			outages = append(outages, err)
		}
	}
	if len(outages) > 0 {
		return none, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(outages...))
	}
	return none, ErrBadCredentials
}

// kindsOf returns the kinds of which a Prover must have one to check a proof.
func kindsOf(p Proof) Kinds {
	switch p := p.(type) {
	case nil:
		return Passwords
	case *Response:
		return kindsOfScheme(p.Scheme)
	case Token:
		return Tokens
	case *Certificate:
		return Certificates
	case Ticket:
		return Tickets
	}
	return 0
}

// Proofs returns what any of the links can check.
func (c chain) Proofs() (all Kinds) {
	for _, a := range c {
		all |= ProofsOf(a)
	}
	return all
}

// Mechanisms returns the mechanisms of all links, of those with one name the first.
func (c chain) Mechanisms() []MechanismKind {
	var all []MechanismKind
	for _, m := range powersOf[Mechanist](c) {
		for _, kind := range m.Mechanisms() {
			same := func(k MechanismKind) bool { return strings.EqualFold(k.Name, kind.Name) }
			if !slices.ContainsFunc(all, same) {
				all = append(all, kind)
			}
		}
	}
	return all
}

// Secret returns the secret of the first who has one.
func (c chainSecrets) Secret(ctx context.Context, user, scheme string) (Secret, error) {
	return firstAnswer(ctx, c, func(source SecretSource) (Secret, error) { return source.Secret(ctx, user, scheme) })
}

// AccountName returns the name that the first gives who knows the login.
func (c chainNames) AccountName(ctx context.Context, login string) (string, error) {
	for _, n := range c {
		if name, err := n.AccountName(ctx, login); err == nil {
			return name, nil
		}
	}
	return "", ErrBadCredentials
}
