package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/mail"
)

// Elsewhere is an optional power of a Directory that knows of accounts at other
// back ends: mail for them is not delivered but sent on, by way of whoever
// knows where they live.
type Elsewhere interface {
	// Elsewhere reports whether an address of a local domain leads to one account,
	// which lives at another back end. Of an address that nobody has that is
	// false. ErrUnavailable.
	Elsewhere(ctx context.Context, a mail.Address) (bool, error)
}

// Here returns a Directory for one back end of several that share d. It has the
// power Elsewhere: where an address leads to several accounts, those that live
// elsewhere are addresses to forward to. here says which values of Account.Host are this
// back end; an account that the power Accounts of d does not know lives
// elsewhere too, as where that looks at one back end's entries only. A d
// without that power has no account here.
func Here(d Directory, here func(host string) bool) Directory { return &ofHost{d, here} }

type ofHost struct {
	Directory
	here func(host string) bool
}

// Unwrap returns the Directory that is shared.
func (d *ofHost) Unwrap() Directory { return d.Directory }

var _ Elsewhere = (*ofHost)(nil)

// Elsewhere reports whether an address is that of an account elsewhere.
func (d *ofHost) Elsewhere(ctx context.Context, a mail.Address) (bool, error) {
	found, err := d.Directory.Resolve(ctx, a)
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotLocal) || errors.Is(err, ErrDisabled) {
		return false, nil
	}
	if err != nil || len(found) != 1 || found[0].Account == "" {
		return false, err
	}
	ours, err := d.lives(ctx, found[0].Account)
	return !ours && err == nil, err
}

// Resolve returns who gets the mail of an address, as whoever is here sees it.
func (d *ofHost) Resolve(ctx context.Context, a mail.Address) ([]Recipient, error) {
	found, err := d.Directory.Resolve(ctx, a)
	found = slices.Clone(found)
	for i, r := range found {
		if r.Account == "" {
			continue
		}
		ours, err := d.lives(ctx, r.Account)
		if err != nil {
			return nil, err
		}
		if ours {
			continue
		}
		address, err := mail.ParseAddress(r.Account)
		if err != nil {
			return nil, fmt.Errorf("%w: account %q: %w", ErrUnavailable, r.Account, err)
		}
		found[i] = Recipient{Forward: address}
	}
	return found, err
}

func (d *ofHost) lives(ctx context.Context, name string) (bool, error) {
	accounts, ok := As[Accounts](d.Directory)
	if !ok {
		return false, nil
	}
	account, err := accounts.Account(ctx, name)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil && d.here(account.Host), err
}
