package embedded

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

var (
	_ directory.Organizer   = (*Directory)(nil)
	_ directory.Memberships = (*Directory)(nil)
)

// maxMembers bounds the members of a group, in octets of their names: they
// stand in one line of the journal.
const maxMembers = maxLine / 2

// SetGroup makes a group or gives it other members.
func (d *Directory) SetGroup(ctx context.Context, g directory.Group) error {
	key, err := nameKey(g.Name)
	if err != nil {
		return err
	}
	return d.change(ctx, func(n *names) (*line, error) {
		if !n.groups[key] {
			if err := n.free(key); err != nil {
				return nil, err
			}
		}
		members, err := n.members(key, g.Members)
		if err != nil {
			return nil, err
		}
		return &line{Op: opGroup, Name: key, Members: members}, nil
	})
}

// members checks who shall be in a group and returns them as they are kept.
func (n *names) members(group string, who []string) ([]string, error) {
	var members []string
	size := 0
	for _, m := range who {
		to, err := n.target(m)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", m, err)
		}
		if size += len(to) + 3; size > maxMembers {
			return nil, fmt.Errorf("%w: group %s", directory.ErrLimit, group)
		}
		members = append(members, to)
	}
	slices.Sort(members)
	return slices.Compact(members), nil
}

// RemoveGroup removes a group.
func (d *Directory) RemoveGroup(ctx context.Context, name string) error {
	return d.change(ctx, func(n *names) (*line, error) {
		key, err := n.key(name)
		if err != nil {
			return nil, err
		}
		if !n.groups[key] {
			return nil, directory.ErrUnknown
		}
		return &line{Op: opUngroup, Name: key}, nil
	})
}

// Groups yields the groups that were there when it began, by name.
func (d *Directory) Groups(ctx context.Context) iter.Seq2[directory.Group, error] {
	sorted := func(n *names) ([]string, error) { return sortedKeys(n.groups), nil }
	return each(ctx, d, sorted, func(n *names, name string) (directory.Group, error) {
		if !n.groups[name] {
			return directory.Group{}, directory.ErrUnknown
		}
		return directory.Group{Name: name, Members: slices.Clone(n.inside.to[name])}, nil
	})
}

// GroupsOf returns the groups that an account is in.
func (d *Directory) GroupsOf(ctx context.Context, account string) ([]string, error) {
	return look(ctx, d, func(n *names) ([]string, error) {
		key, err := n.key(account)
		if err != nil || n.accounts[key] == nil {
			return nil, directory.ErrUnknown
		}
		return n.groupsOf(key), nil
	})
}

// groupsOf follows a name backwards: to the aliases that lead to it, and to the
// groups that it or one of those is in.
func (n *names) groupsOf(name string) []string {
	seen := map[string]bool{name: true}
	var groups []string
	for waiting := []string{name}; len(waiting) > 0; {
		name, waiting = waiting[0], waiting[1:]
		for _, above := range slices.Concat(n.aliases.back[name], n.inside.back[name]) {
			if seen[above] {
				continue
			}
			seen[above] = true
			waiting = append(waiting, above)
			if n.groups[above] {
				groups = append(groups, above)
			}
		}
	}
	slices.Sort(groups)
	return groups
}

// domainKey is the normal form of a domain.
func domainKey(domain string) (string, error) {
	a, err := mail.Postmaster.WithDomain(domain)
	if err != nil {
		return "", err
	}
	return mail.DomainKey(a.Domain()), nil
}

// AddDomainAlias makes a domain another name of a domain.
func (d *Directory) AddDomainAlias(ctx context.Context, alias, domain string) error {
	key, err := domainKey(alias)
	to, err2 := domainKey(domain)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return d.change(ctx, func(n *names) (*line, error) {
		switch {
		case n.local(key):
			return nil, directory.ErrExists
		case !n.owned[to]:
			return nil, directory.ErrNotLocal
		}
		return &line{Op: opDomainAlias, Domain: key, To: to}, nil
	})
}

// RemoveDomainAlias removes such a name.
func (d *Directory) RemoveDomainAlias(ctx context.Context, alias string) error {
	key := mail.DomainKey(alias)
	return d.change(ctx, func(n *names) (*line, error) {
		if n.domainAliases[key] == "" {
			return nil, directory.ErrUnknown
		}
		return &line{Op: opUndomainAlias, Domain: key}, nil
	})
}

// SetCatchAll says who gets what is for nobody in a domain.
func (d *Directory) SetCatchAll(ctx context.Context, domain string, to directory.Recipient) error {
	key := mail.DomainKey(domain)
	return d.change(ctx, func(n *names) (*line, error) {
		if !n.owned[key] {
			return nil, directory.ErrNotLocal
		}
		place, err := n.place(to)
		if err != nil {
			return nil, err
		}
		return &line{Op: opCatchAll, Domain: key, To: place.name, Folder: place.folder}, nil
	})
}

// SetFolder makes an address lead to a mailbox.
func (d *Directory) SetFolder(ctx context.Context, a mail.Address, to directory.Recipient) error {
	key, err := nameKey(a.String())
	if err != nil {
		return err
	}
	return d.change(ctx, func(n *names) (*line, error) {
		if n.folders[key] == (place{}) {
			if err := n.free(key); err != nil {
				return nil, err
			}
		}
		at, err := n.place(to)
		switch {
		case err != nil:
			return nil, err
		case at == (place{}) && n.folders[key] == at:
			return nil, directory.ErrUnknown
		case at.name != "" && !n.isAccount(at.name):
			return nil, fmt.Errorf("%w: a folder is an account's", mail.ErrBadAddress)
		}
		return &line{Op: opFolder, Name: key, To: at.name, Folder: at.folder}, nil
	})
}

// place is a Recipient as it is kept: the name of an account, or a foreign
// address as it was written, and a mailbox of the account. The zero place is
// none.
type place struct{ name, folder string }

// place checks a Recipient.
func (n *names) place(r directory.Recipient) (place, error) {
	switch {
	case r == (directory.Recipient{}):
		return place{}, nil
	case !r.Forward.IsNull():
		if r.Account != "" || r.Folder != "" || n.local(mail.DomainKey(r.Forward.Domain())) {
			return place{}, fmt.Errorf("%w: %s is no foreign address alone", mail.ErrBadAddress, r.Forward)
		}
		return place{name: r.Forward.String()}, nil
	case n.isAccount(r.Account):
		return place{r.Account, r.Folder}, nil
	}
	return place{}, directory.ErrUnknown
}

// isAccount reports whether a name is an account's, or the one of the public
// folders of a domain.
func (n *names) isAccount(name string) bool {
	domain, public := strings.CutPrefix(name, "@")
	return n.accounts[name] != nil || public && n.owned[domain]
}

// recipient is the reverse of place.
func (n *names) recipient(at place) (directory.Recipient, bool) {
	if n.isAccount(at.name) {
		return directory.Recipient{Account: at.name, Folder: at.folder}, true
	}
	a, err := mail.ParseAddress(at.name)
	return directory.Recipient{Forward: a}, err == nil
}
