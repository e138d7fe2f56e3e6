package gssapi

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/internal/account"
	"github.com/posthouse-mail/posthouse/directory"
)

// Accounts returns an Authenticator that knows whose account a principal is,
// and nothing else: it checks auth.Ticket alone. Put it into an auth.Chain with
// those who check passwords, and New around that.
//
// Realms names for each realm the domain in which its principals have their
// accounts: "alice" of EXAMPLE.TEST is alice@example.test where it says so. Of
// other realms nobody is known, and neither are services and roles, as
// "alice/admin". Letter case makes no difference to an account's name, so have
// no two principals in which nothing else differs; a sub-address does: the
// principal "alice+x" is not alice.
//
// Nobody has the account: auth.ErrBadCredentials; it is disabled:
// auth.ErrDisabled; the directory can't say: auth.ErrUnavailable.
func Accounts(d directory.Accounts, realms map[string]string) auth.Authenticator {
	return &owners{account.Resolver{Accounts: d}, maps.Clone(realms)}
}

// owners are those whose accounts principals are.
type owners struct {
	accounts account.Resolver
	realms   map[string]string
}

var (
	_ auth.Prover = (*owners)(nil)
	_ auth.Namer  = (*owners)(nil)
)

// Proofs returns auth.Tickets.
func (o *owners) Proofs() auth.Kinds { return auth.Tickets }

// AccountName returns the name of the account that a login means.
func (o *owners) AccountName(ctx context.Context, login string) (string, error) {
	return o.accounts.Name(ctx, login)
}

// Authenticate finds the account of a Ticket.
func (o *owners) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	t, ok := c.Proof.(auth.Ticket)
	if !ok {
		return auth.Identity{}, fmt.Errorf("%w: only tickets are checked here", auth.ErrBadCredentials)
	}
	domain, ok := o.realms[t.Realm]
	if !ok || t.Name == "" || strings.ContainsAny(t.Name, "/@+") {
		return auth.Identity{}, fmt.Errorf("%w: the principal %.80q of %.80q is nobody here", auth.ErrBadCredentials, t.Name, t.Realm)
	}
	a, err := o.accounts.Find(ctx, t.Name+"@"+domain)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("the principal %.80q of %.80q: %w", t.Name, t.Realm, err)
	}
	return o.accounts.Admit(ctx, a, c.User, c.AuthzID)
}
