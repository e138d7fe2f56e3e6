// Package accountmap maps users by the accounts of a directory: who has an
// account lives where the account says, or where all do whose account says
// nothing.
//
// Invariants of this package:
//
//   - Who has no account is not mapped; a directory that can't answer, and an
//     account that lives nowhere, are mapping.ErrUnavailable.
//   - It tells nothing of passwords. A disabled account is mapped: whether
//     somebody may log in is not decided here.
package accountmap

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Mapper maps users by the accounts of a directory.
type Mapper struct {
	accounts directory.Accounts
	home     mapping.Route
}

// New returns a Mapper over accounts. home is where those live whose account
// has no Host; the zero Route: nowhere, they are ErrUnavailable until the
// account says it.
func New(accounts directory.Accounts, home mapping.Route) *Mapper { return &Mapper{accounts, home} }

// Map returns the route to the account that somebody logs in to. An
// Account.Host that mapping.ParseRoute does not read is ErrUnavailable of kind
// mapping.ErrBadRoute.
func (m *Mapper) Map(ctx context.Context, user string) (mapping.Route, error) {
	name, ok := mapping.NormalName(user)
	if !ok {
		return mapping.Route{}, mapping.ErrNotMapped
	}
	account, err := m.accounts.Account(ctx, name)
	switch {
	case errors.Is(err, directory.ErrUnknown):
		return mapping.Route{}, mapping.ErrNotMapped
	case err != nil:
		return mapping.Route{}, fmt.Errorf("%w: %w", mapping.ErrUnavailable, err)
	}
	route, err := m.route(account)
	if err != nil {
		return mapping.Route{}, fmt.Errorf("%w: account %q: %w", mapping.ErrUnavailable, account.Name, err)
	}
	return route, nil
}

func (m *Mapper) route(a directory.Account) (mapping.Route, error) {
	if a.Host != "" {
		return mapping.ParseRoute(a.Host)
	}
	return m.home, m.home.Check()
}
