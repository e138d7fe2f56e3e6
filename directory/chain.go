package directory

import (
	"context"
	"errors"
	"slices"

	"github.com/posthouse-mail/posthouse/mail"
)

// Chain returns a Directory that asks several in their order: a domain is
// local when it is to one of them, and the first that knows an address
// decides. One that can't answer ends the search with ErrUnavailable, because
// it might have known. It has the powers Accounts, Elsewhere and Memberships, of
// those that have them.
func Chain(directories ...Directory) Directory { return chain(directories) }

type chain []Directory

var (
	_ Accounts    = chain(nil)
	_ Elsewhere   = chain(nil)
	_ Memberships = chain(nil)
)

// Resolve returns what the first returns that knows the address. Postmaster
// leads to somebody in every local domain, of whichever directory.
func (c chain) Resolve(ctx context.Context, a mail.Address) ([]Recipient, error) {
	worst := ErrNotLocal
	for _, d := range c {
		found, err := d.Resolve(ctx, a)
		switch {
		case errors.Is(err, ErrNotLocal):
		case errors.Is(err, ErrUnknown):
			worst = err
		default:
			return found, err
		}
	}
	return nil, worst
}

// Local reports whether a domain is local to one of them.
func (c chain) Local(ctx context.Context, domain string) (bool, error) {
	for _, d := range c {
		if local, err := d.Local(ctx, domain); local || err != nil {
			return local, err
		}
	}
	return false, nil
}

// Elsewhere asks the first that knows the address.
func (c chain) Elsewhere(ctx context.Context, a mail.Address) (bool, error) {
	for _, d := range c {
		_, err := d.Resolve(ctx, a)
		if errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotLocal) {
			continue
		}
		if e, ok := As[Elsewhere](d); ok {
			return e.Elsewhere(ctx, a)
		}
		if errors.Is(err, ErrDisabled) {
			err = nil
		}
		return false, err
	}
	return false, nil
}

// Account returns the account of the first that knows the login.
func (c chain) Account(ctx context.Context, login string) (Account, error) {
	for _, d := range c {
		accounts, ok := As[Accounts](d)
		if !ok {
			continue
		}
		if a, err := accounts.Account(ctx, login); !errors.Is(err, ErrUnknown) {
			return a, err
		}
	}
	return Account{}, ErrUnknown
}

// GroupsOf returns the groups of all of them: somebody may be in groups of
// several.
func (c chain) GroupsOf(ctx context.Context, account string) ([]string, error) {
	var groups []string
	known := false
	for _, d := range c {
		m, ok := As[Memberships](d)
		if !ok {
			continue
		}
		more, err := m.GroupsOf(ctx, account)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return nil, err
		}
		known = known || err == nil
		groups = append(groups, more...)
	}
	if !known {
		return nil, ErrUnknown
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}
