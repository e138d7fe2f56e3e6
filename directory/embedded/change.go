package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// change checks, writes and then shows a change. check sees the names as they
// are and returns the line to write.
func (d *Directory) change(ctx context.Context, check func(n *names) (*line, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.edit.Lock()
	defer d.edit.Unlock()
	if d.shut {
		return errClosed
	}
	l, err := check(d.names) // only a change writes to names, and this is the only one
	if err != nil {
		return err
	}
	if err := d.journal.append(l); err != nil {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	d.mu.Lock()
	err = d.names.apply(l)
	d.names.findFirst()
	d.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	d.journal.compact(d.names)
	return nil
}

// AddDomain makes a domain local.
func (d *Directory) AddDomain(ctx context.Context, domain string) error {
	key, err := domainKey(domain)
	if err != nil {
		return err
	}
	return d.change(ctx, func(n *names) (*line, error) {
		if n.local(key) {
			return nil, directory.ErrExists
		}
		return &line{Op: opDomain, Domain: key}, nil
	})
}

// AddAccount adds an account.
func (d *Directory) AddAccount(ctx context.Context, a directory.Account) error {
	key, err := nameKey(a.Name)
	if err != nil {
		return err
	}
	aliases := make([]string, 0, len(a.Aliases))
	for _, alias := range a.Aliases {
		k, err := nameKey(alias)
		if err != nil {
			return err
		}
		aliases = append(aliases, k)
	}
	return d.change(ctx, func(n *names) (*line, error) {
		seen := []string{}
		for _, k := range append([]string{key}, aliases...) {
			if err := n.free(k); err != nil {
				return nil, err
			}
			if slices.Contains(seen, k) {
				return nil, directory.ErrExists
			}
			seen = append(seen, k)
		}
		a.Name, a.Aliases, a.Secrets = key, aliases, maps.Clone(a.Secrets)
		return &line{Op: opAccount, Account: &a}, nil
	})
}

// SetPassword replaces the password hash of an account.
func (d *Directory) SetPassword(ctx context.Context, name, hash string) error {
	return d.SetPasswordForms(ctx, name, hash, nil)
}

// SetPasswordForms replaces the password hash and the secrets of an account.
func (d *Directory) SetPasswordForms(ctx context.Context, name, hash string, secrets map[string]string) error {
	secrets = maps.Clone(secrets)
	return d.alter(ctx, name, func(key string) *line {
		return &line{Op: opPassword, Name: key, Password: hash, Secrets: secrets}
	})
}

// SetDisabled switches an account off or on.
func (d *Directory) SetDisabled(ctx context.Context, name string, to directory.Switch) error {
	return d.alter(ctx, name, func(key string) *line { return &line{Op: opDisabled, Name: key, Disabled: bool(to)} })
}

// SetHost says where an account lives.
func (d *Directory) SetHost(ctx context.Context, name, host string) error {
	return d.alter(ctx, name, func(key string) *line { return &line{Op: opHost, Name: key, To: host} })
}

// RemoveAccount removes an account.
func (d *Directory) RemoveAccount(ctx context.Context, name string) error {
	return d.alter(ctx, name, func(key string) *line { return &line{Op: opRemove, Name: key} })
}

// alter changes an account that exists.
func (d *Directory) alter(ctx context.Context, name string, to func(key string) *line) error {
	return d.change(ctx, func(n *names) (*line, error) {
		key, err := n.key(name)
		if err != nil {
			return nil, err
		}
		if n.accounts[key] == nil {
			return nil, directory.ErrUnknown
		}
		return to(key), nil
	})
}

// AddAlias makes an alias lead to somebody.
func (d *Directory) AddAlias(ctx context.Context, alias mail.Address, to string) error {
	key, err := nameKey(alias.String())
	if err != nil {
		return err
	}
	return d.change(ctx, func(n *names) (*line, error) {
		target, err := n.target(to)
		if err != nil {
			return nil, err
		}
		switch {
		case !n.owned[domainOf(key)]:
			return nil, directory.ErrNotLocal
		case n.has(key) && len(n.aliases.to[key]) == 0, slices.Contains(n.aliases.to[key], target):
			return nil, directory.ErrExists
		}
		return &line{Op: opAlias, Name: key, To: target}, nil
	})
}

// RemoveAlias removes an alias.
func (d *Directory) RemoveAlias(ctx context.Context, alias mail.Address) error {
	key := alias.Key()
	return d.change(ctx, func(n *names) (*line, error) {
		if len(n.aliases.to[key]) == 0 {
			return nil, directory.ErrUnknown
		}
		return &line{Op: opUnalias, Name: key}, nil
	})
}
