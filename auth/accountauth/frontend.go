package accountauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/internal/account"
	"github.com/posthouse-mail/posthouse/directory"
)

// FrontEnd is the name that front ends log in with to act for users whom they
// have checked, as their proxy.Backend.MasterUser.
type FrontEnd struct {
	Name     string // letter case does not matter
	Password string `json:"-"` // a long one, drawn at random: it is compared without the cost that slows guessing down; empty: nobody has it

	// Trusted knows the addresses of front ends. To all others the name is an
	// account's as any other. nil: nobody is a front end.
	Trusted func(peer netip.Addr) bool

	// Excluded reports accounts that nobody can be in this way, as those of
	// administrators, who log in with a password of their own; nil: none.
	Excluded func(directory.Account) bool
}

// ActFor returns an Authenticator that lets a front end log in in the names of
// the users of a directory: with a password, the name of f as authentication
// identity and the user's as authorization identity (RFC 4616). That is all
// that it may do: it is no account itself, whoever takes a front end over gets no
// rights that are not the users', and those of Excluded he does not get.
// Everybody else is next's to decide; put it around the throttle, so that one
// user's front end does not wait for the failures of others.
func ActFor(next auth.Authenticator, accounts directory.Accounts, f FrontEnd) auth.Authenticator {
	return &actor{Authenticator: next, accounts: account.Resolver{Accounts: accounts}, f: f}
}

type actor struct {
	auth.Authenticator
	accounts account.Resolver
	f        FrontEnd
}

// Unwrap keeps the optional powers of the Authenticator.
func (a *actor) Unwrap() auth.Authenticator { return a.Authenticator }

var _ auth.Delegator = (*actor)(nil)

// frontEnd is who a front end is until it says for whom it acts: no account has
// this name.
const frontEnd = "\x00"

func (a *actor) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if a.f.Name == "" || !strings.EqualFold(c.User, a.f.Name) || a.f.Trusted == nil || !a.f.Trusted(c.Peer) || c.Proof != nil {
		return a.Authenticator.Authenticate(ctx, c)
	}
	shown, right := sha256.Sum256([]byte(c.Password)), sha256.Sum256([]byte(a.f.Password))
	switch {
	case a.f.Password == "" || subtle.ConstantTimeCompare(shown[:], right[:]) != 1:
		return auth.Identity{}, auth.ErrBadCredentials
	case !c.Acting:
		return auth.Identity{}, fmt.Errorf("%w: a front end is no user", auth.ErrBadCredentials)
	}
	return auth.Identity{User: frontEnd}, nil
}

// ActFor lets front ends be users.
func (a *actor) ActFor(ctx context.Context, id auth.Identity, authzID string) (auth.Identity, error) {
	if id.User != frontEnd {
		if inner, ok := auth.As[auth.Delegator](a.Authenticator); ok {
			return inner.ActFor(ctx, id, authzID)
		}
		return auth.Identity{}, fmt.Errorf("%w: nobody but a front end acts for somebody else", auth.ErrBadCredentials)
	}
	user, err := a.accounts.Find(ctx, authzID)
	if err != nil {
		return auth.Identity{}, err
	}
	if a.f.Excluded != nil && a.f.Excluded(user) {
		return auth.Identity{}, fmt.Errorf("%w: no front end is an administrator", auth.ErrBadCredentials)
	}
	return a.accounts.Admit(ctx, user)
}
