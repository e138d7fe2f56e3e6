package memory

import (
	"context"
	"slices"
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
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	chain := []storage.ACL{slices.Clone(a.acl)}
	if mailbox == "" {
		return chain, nil
	}
	if _, err := a.find(mailbox); err != nil {
		return nil, err
	}
	mailbox, _ = storage.CleanName(mailbox)
	for name := range storage.Levels(mailbox) {
		chain = append(chain, slices.Clone(a.boxes[name].acl))
	}
	return chain, nil
}

// AllACLs returns all lists that are not empty.
func (a *account) AllACLs(ctx context.Context) (map[string]storage.ACL, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	all := make(map[string]storage.ACL)
	if len(a.acl) > 0 {
		all[""] = slices.Clone(a.acl)
	}
	for name, m := range a.boxes {
		if len(m.acl) > 0 {
			all[name] = slices.Clone(m.acl)
		}
	}
	return all, nil
}

// SetACL replaces the access control list of a mailbox, or of the account.
func (a *account) SetACL(ctx context.Context, mailbox string, list storage.ACL) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	place := &a.acl
	if mailbox != "" {
		m, err := a.find(mailbox)
		if err != nil {
			return err
		}
		place = &m.acl
	}
	list, err := list.Clean()
	if err != nil {
		return err
	}
	if !place.Equal(list) {
		*place = list
		a.notify(storage.Change{})
	}
	return nil
}

// inherited returns the list that a new mailbox begins with.
func (a *account) inherited(name string) storage.ACL {
	if a.store.settings(storage.Domain(a.user)).ACL != storage.ACLPlain {
		return nil
	}
	if i := strings.LastIndex(name, storage.Separator); i > 0 {
		return a.boxes[name[:i]].acl
	}
	return a.acl
}
