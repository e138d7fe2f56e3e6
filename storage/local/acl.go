package local

import (
	"cmp"
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	_ storage.ACLs      = (*account)(nil)
	_ storage.ACLLister = (*account)(nil)
)

// ACL returns the access control list of a mailbox, or of the account.
func (a *account) ACL(ctx context.Context, mailbox string) (storage.ACL, error) {
	chain, err := a.ACLChain(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	return chain[len(chain)-1], nil
}

// ACLChain returns the lists from the account down to a mailbox.
func (a *account) ACLChain(ctx context.Context, mailbox string) ([]storage.ACL, error) {
	if err := a.s.ready(ctx); err != nil {
		return nil, err
	}
	mailbox, err := cleanOrAccount(mailbox)
	if err != nil {
		return nil, err
	}
	snap := a.s.e.Snapshot()
	defer snap.Close()
	rec, err := a.record(snap)
	if err != nil {
		return nil, err
	}
	chain := []storage.ACL{rec.acl}
	for name := range storage.Levels(mailbox) {
		b, ok, err := getBox(snap, a.id, name)
		if err != nil || !ok {
			return nil, cmp.Or(err, storage.ErrNoMailbox)
		}
		chain = append(chain, b.acl)
	}
	return chain, nil
}

// AllACLs returns all lists that are not empty.
func (a *account) AllACLs(ctx context.Context) (map[string]storage.ACL, error) {
	if err := a.s.ready(ctx); err != nil {
		return nil, err
	}
	snap := a.s.e.Snapshot()
	defer snap.Close()
	rec, err := a.record(snap)
	if err != nil {
		return nil, err
	}
	all := make(map[string]storage.ACL)
	if len(rec.acl) > 0 {
		all[""] = rec.acl
	}
	err = snap.Scan(ctx, nameKey(keyName, a.id, ""), behind(keyName, uint64(a.id)), func(k, v []byte) error {
		b, err := parseBox(v)
		if len(b.acl) > 0 {
			all[string(k[9:])] = b.acl
		}
		return err
	})
	return all, failure(err)
}

// cleanOrAccount returns a clean name, or "", which stands for the account.
func cleanOrAccount(mailbox string) (string, error) {
	if mailbox == "" {
		return "", nil
	}
	name, err := storage.CleanName(mailbox)
	if err != nil {
		return "", storage.ErrNoMailbox
	}
	return name, nil
}

// SetACL replaces the access control list of a mailbox, or of the account.
func (a *account) SetACL(ctx context.Context, mailbox string, list storage.ACL) error {
	if err := a.s.ready(ctx); err != nil {
		return err
	}
	mailbox, err := cleanOrAccount(mailbox)
	if err != nil {
		return err
	}
	if list, err = list.Clean(); err != nil {
		return err
	}
	return a.change(ctx, func(g *grown) error {
		if mailbox == "" {
			if g.acl.Equal(list) {
				return errNothing
			}
			g.share(0, g.acl, list)
			g.acl = list
			return nil
		}
		b, ok, err := g.find(mailbox)
		switch {
		case err != nil || !ok:
			return cmp.Or(err, storage.ErrNoMailbox)
		case b.acl.Equal(list):
			return errNothing
		}
		g.share(b.id, b.acl, list)
		b.acl = list
		g.putBox(mailbox, b)
		return nil
	})
}

// inherited returns the list that a new mailbox begins with.
func (g *grown) inherited(name string) (storage.ACL, error) {
	if g.s.options.Settings(storage.Domain(g.user)).ACL != storage.ACLPlain {
		return nil, nil
	}
	i := strings.LastIndex(name, storage.Separator)
	if i < 0 {
		return g.acl, nil
	}
	parent, _, err := g.find(name[:i])
	return parent.acl, err
}
