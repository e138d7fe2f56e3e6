package local

import (
	"context"
)

// fixAccount makes an account that can't be read, or that has another one's
// number, anew: with the tree that must be its own, or else with a new one.
func (r *repairer) fixAccount(ctx context.Context, group []Damage) error {
	user := group[0].of.user
	return r.commit(ctx, func(t tx) error {
		if checkUser(user) != nil {
			t.Delete(accountKey(user))
			return nil
		}
		b, _, err := t.Get(accountKey(user))
		if err != nil {
			return err
		}
		rec, unreadable := parseAccount(b)
		users, err := usersIn(t)
		if err != nil {
			return err
		}
		if unreadable == nil && users[rec.id] == user {
			return errNothing
		}
		if unreadable != nil {
			id, err := t.treeOf(b, users)
			if err != nil {
				return err
			}
			if id != 0 {
				g := &grown{tx: t, tree: tree{user, id}, accountRecord: accountRecord{id: id}}
				return g.mend()
			}
		}
		g, err := t.newAccount(user)
		if err == nil && unreadable == nil {
			g.quota, g.acl = rec.quota, rec.acl
			g.save()
		}
		return err
	})
}

// treeOf returns the number of an account whose record can't be read: the one
// that its beginning says, or the only one of which mailboxes have no account.
func (t tx) treeOf(lost []byte, users map[accountID]string) (accountID, error) {
	free := make(map[accountID]bool)
	unreadable := 0
	err := t.Scan([]byte{keyName}, []byte{keyName + 1}, func(k, _ []byte) error {
		if n, ok := number(k, 0); ok && users[accountID(n)] == "" {
			free[accountID(n)] = true
		}
		return nil
	})
	if err == nil {
		err = t.Scan([]byte{keyAccount}, []byte{keyAccount + 1}, func(_, v []byte) error {
			if _, err := parseAccount(v); err != nil {
				unreadable++
			}
			return nil
		})
	}
	if err != nil {
		return 0, err
	}
	if id := accountID(newReader(lost).number()); free[id] {
		return id, nil
	}
	if len(free) == 1 && unreadable == 1 {
		for id := range free {
			return id, nil
		}
	}
	return 0, nil
}

// fixUnowned makes an account for mailboxes that have none.
func (r *repairer) fixUnowned(ctx context.Context, group []Damage) error {
	id := group[0].of.account
	return r.commit(ctx, func(t tx) error {
		users, err := usersIn(t)
		if err != nil || users[id] != "" {
			return orNothing(err)
		}
		_, err = t.recoveredAccount(id)
		return err
	})
}

// users returns the accounts that can be read, by number.
func (r *repairer) users() (map[accountID]string, error) { return usersOf(r.s.e.Scan) }

// usersIn is users as a change sees them.
func usersIn(t tx) (map[accountID]string, error) {
	return usersOf(func(_ context.Context, from, to []byte, f func(k, v []byte) error) error { return t.Scan(from, to, f) })
}

func usersOf(scan func(ctx context.Context, from, to []byte, f func(k, v []byte) error) error) (map[accountID]string, error) {
	users := make(map[accountID]string)
	err := scan(context.Background(), []byte{keyAccount}, []byte{keyAccount + 1}, func(k, v []byte) error {
		if rec, err := parseAccount(v); err == nil && users[rec.id] == "" {
			users[rec.id] = string(k[1:])
		}
		return nil
	})
	return users, err
}
