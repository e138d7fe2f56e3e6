package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

type account struct {
	s *Store
	tree
}

// Account returns a user's account.
func (s *Store) Account(ctx context.Context, user string) (storage.Account, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := cmp.Or(checkUser(user), s.thawed(user)); err != nil {
		return nil, err
	}
	rec, ok, err := getAccount(s.e, user)
	if err != nil {
		return nil, err
	}
	if ok {
		return &account{s, tree{user, rec.id}}, nil
	}
	a := &account{s: s, tree: tree{user: user}}
	err = s.commit(ctx, nil, func(t tx) error {
		g, err := t.account(a.tree)
		if errors.Is(err, storage.ErrNoMailbox) {
			g, err = t.newAccount(user)
		} else if err == nil {
			a.id = g.tree.id
			return errNothing
		}
		if err == nil {
			a.id = g.tree.id
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func checkUser(user string) error {
	if user == "" || len(user) > storage.MaxName {
		return fmt.Errorf("%w: of an account", storage.ErrBadName)
	}
	return nil
}

func getAccount(g getter, user string) (rec accountRecord, ok bool, err error) {
	b, ok, err := g.Get(accountKey(user))
	if err != nil || !ok {
		return rec, false, failure(err)
	}
	if rec, err = parseAccount(b); err != nil {
		return rec, false, fmt.Errorf("account %q: %w", user, err)
	}
	return rec, true, nil
}

// record returns what is kept of the account. ErrNoMailbox when it was removed.
func (a *account) record(g getter) (accountRecord, error) {
	rec, ok, err := getAccount(g, a.user)
	if err == nil && (!ok || rec.id != a.id) {
		err = storage.ErrNoMailbox
	}
	return rec, err
}

// exists returns ErrNoMailbox when the account was removed.
func (a *account) exists(g getter) error {
	_, err := a.record(g)
	return err
}

// change commits a change of the account's tree.
func (a *account) change(ctx context.Context, build func(*grown) error) error {
	return a.s.commit(ctx, nil, func(t tx) error {
		g, err := t.account(a.tree)
		if err != nil {
			return err
		}
		if err := build(g); err != nil {
			return err
		}
		g.save()
		return nil
	})
}

// Mailboxes lists the account as it stands at one moment.
func (a *account) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	if err := a.s.ready(ctx); err != nil {
		return nil, err
	}
	snap := a.s.e.Snapshot()
	defer snap.Close()
	if err := a.exists(snap); err != nil {
		return nil, err
	}
	list, err := a.boxes(ctx, snap)
	if err != nil {
		return nil, failure(err)
	}
	subs, err := a.subscriptions(ctx, snap)
	if err != nil {
		return nil, failure(err)
	}
	list = merge(list, subs)
	if i := slices.IndexFunc(list, func(m storage.MailboxInfo) bool { return m.Name == storage.Inbox }); i > 0 {
		inbox := list[i]
		copy(list[1:i+1], list[:i])
		list[0] = inbox
	}
	return list, nil
}

// boxes lists the mailboxes by name.
func (a *account) boxes(ctx context.Context, snap *engine.Snapshot) (list []storage.MailboxInfo, err error) {
	err = snap.Scan(ctx, nameKey(keyName, a.id, ""), behind(keyName, uint64(a.id)), func(k, v []byte) error {
		b, err := parseBox(v)
		list = append(list, storage.MailboxInfo{Name: string(k[9:]), ID: b.id, Kind: b.kind, Attrs: b.attrs})
		return err
	})
	return list, err
}

func (a *account) subscriptions(ctx context.Context, snap *engine.Snapshot) (names []string, err error) {
	err = snap.Scan(ctx, nameKey(keySubscription, a.id, ""), behind(keySubscription, uint64(a.id)), func(k, _ []byte) error {
		names = append(names, string(k[9:]))
		return nil
	})
	return names, err
}

// merge adds subscriptions to a list; both are sorted by name.
func merge(list []storage.MailboxInfo, subs []string) []storage.MailboxInfo {
	all := make([]storage.MailboxInfo, 0, len(list)+len(subs))
	for _, m := range list {
		for len(subs) > 0 && subs[0] < m.Name {
			all = append(all, storage.MailboxInfo{Name: subs[0], Subscribed: true})
			subs = subs[1:]
		}
		if len(subs) > 0 && subs[0] == m.Name {
			m.Subscribed = true
			subs = subs[1:]
		}
		all = append(all, m)
	}
	for _, n := range subs {
		all = append(all, storage.MailboxInfo{Name: n, Subscribed: true})
	}
	return all
}

// Mailbox opens a mailbox.
func (a *account) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	if err := a.s.ready(ctx); err != nil {
		return nil, err
	}
	name, err := storage.CleanName(name)
	if err != nil {
		return nil, storage.ErrNoMailbox
	}
	if err := a.exists(a.s.e); err != nil {
		return nil, err
	}
	b, ok, err := getBox(a.s.e, a.id, name)
	if err != nil || !ok {
		return nil, cmp.Or(err, storage.ErrNoMailbox)
	}
	return &mailbox{account: a, id: b.id, kind: b.kind, name: name}, nil
}

// Create makes a mailbox.
func (a *account) Create(ctx context.Context, name string, n storage.NewMailbox) error {
	return a.change(ctx, func(g *grown) error {
		_, err := g.create(name, n, unsubscribed)
		return err
	})
}

// Delete removes a mailbox.
func (a *account) Delete(ctx context.Context, name string) error {
	name, err := storage.CleanName(name)
	if err != nil {
		if err := a.s.ready(ctx); err != nil {
			return err
		}
		return storage.ErrNoMailbox
	}
	if name == storage.Inbox {
		return fmt.Errorf("%w: INBOX stays", storage.ErrBadName)
	}
	err = a.change(ctx, func(g *grown) error {
		b, ok, err := g.find(name)
		if err != nil || !ok {
			return cmp.Or(err, storage.ErrNoMailbox)
		}
		if err := g.below(name, func(string, box) error { return storage.ErrHasChildren }); err != nil {
			return err
		}
		return g.remove(name, b)
	})
	if err == nil {
		a.s.purger.wake()
	}
	return err
}

// Subscribe adds a name to the list of subscriptions.
func (a *account) Subscribe(ctx context.Context, name string) error {
	name, err := storage.CleanName(name)
	if err != nil {
		return err
	}
	return a.change(ctx, func(g *grown) error {
		had := g.subs
		err := g.subscribe(name)
		if err == nil && g.subs == had {
			err = errNothing
		}
		return err
	})
}

// Unsubscribe removes a name from the list of subscriptions.
func (a *account) Unsubscribe(ctx context.Context, name string) error {
	name, err := storage.CleanName(name)
	if err != nil {
		return err
	}
	return a.change(ctx, func(g *grown) error {
		key := nameKey(keySubscription, g.tree.id, name)
		if _, ok, err := g.Get(key); err != nil || !ok {
			return cmp.Or(err, errNothing)
		}
		g.subs--
		g.Delete(key)
		return nil
	})
}

// Watch calls notify after every change.
func (a *account) Watch(notify func(storage.Change)) (stop func()) {
	return a.s.watch.add(a.id, notify)
}

// RemoveAccount deletes an account. Its mailboxes are gone at once, their
// messages soon.
func (s *Store) RemoveAccount(ctx context.Context, user string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := s.commit(ctx, nil, func(t tx) error {
		g, err := t.grow(tree{user: user})
		if err != nil {
			return err
		}
		t.thaw(user)
		return g.removeAll()
	})
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil
	}
	if err == nil {
		s.purger.wake()
	}
	return err
}

func (g *grown) removeAll() error {
	id := uint64(g.tree.id)
	err := g.Scan(numberKey(keyName, id), behind(keyName, id), func(k, v []byte) error {
		b, err := parseBox(v)
		if err != nil {
			return err
		}
		st, err := g.state(b.id)
		if err != nil {
			return err
		}
		g.share(b.id, b.acl, nil)
		g.doom(b.id, st)
		g.Delete(k)
		return nil
	})
	for _, kind := range [...]byte{keySubscription, keyValidity, keyAccountNote} {
		if err == nil {
			err = g.Scan(numberKey(kind, id), behind(kind, id), func(k, _ []byte) error { g.Delete(k); return nil })
		}
	}
	if err != nil {
		return err
	}
	g.share(0, g.acl, nil)
	g.Set(leftKey(g.tree.id), nil)
	g.Delete(accountKey(g.user))
	g.s.pending.changeTree(g.o, g.tree)
	return nil
}
