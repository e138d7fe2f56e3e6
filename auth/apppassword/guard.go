package apppassword

import (
	"context"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/auth"
)

// Rule tells whether a user, named as in auth.Identity, may use his main
// password only where a second factor is asked for: File.Only and the Enabled
// of package totp are such. Every error is a failure to tell.
type Rule func(ctx context.Context, user string) (bool, error)

// Guard is an Authenticator that refuses the main password of users whom a
// Rule names, in services that can't ask for a second factor: there they need
// an app password. What is not made from the password goes by: tokens,
// certificates and tickets, whose issuers asked for what they want.
//
// The Authenticator of app passwords stands beside a Guard, not behind it. Put
// a Guard around an auth.Cache, so that a Rule that changes counts at once.
type Guard struct {
	next auth.Authenticator
	rule Rule
	asks []string
}

// NewGuard returns a Guard over next. asks names the services that ask for a
// second factor themselves, as a web page does; mail protocols do not.
func NewGuard(next auth.Authenticator, rule Rule, asks ...string) *Guard {
	return &Guard{next: next, rule: rule, asks: slices.Clone(asks)}
}

// Unwrap returns the Authenticator that is guarded.
func (g *Guard) Unwrap() auth.Authenticator { return g.next }

// Authenticate asks, and refuses what may not be used: auth.ErrBadCredentials,
// as of a wrong password.
func (g *Guard) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	id, err := g.next.Authenticate(ctx, c)
	if err != nil {
		return auth.Identity{}, err
	}
	switch c.Proof.(type) {
	case auth.Token, *auth.Certificate, auth.Ticket:
		return id, nil
	}
	if slices.Contains(g.asks, c.Service) {
		return id, nil
	}
	refuse, err := g.rule(ctx, id.User)
	switch {
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: who needs app passwords: %w", auth.ErrUnavailable, err)
	case refuse:
		return auth.Identity{}, fmt.Errorf("%w: the main password is not for this service", auth.ErrBadCredentials)
	}
	return id, nil
}
