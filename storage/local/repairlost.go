package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/storage"
)

// recoveredUser is the account that gets what nobody knows the owner of. It
// has no domain, so that no mail is for it.
const recoveredUser = "recovered"

// orNothing is errNothing when there is no error.
func orNothing(err error) error {
	if err == nil {
		return errNothing
	}
	return err
}

// recoveredAccount makes an account of a number that has mailboxes and no
// account any more.
func (t tx) recoveredAccount(id accountID) (*grown, error) {
	g := &grown{tx: t, tree: tree{fmt.Sprintf("%s-%d", recoveredUser, id), id}, accountRecord: accountRecord{id: id}}
	return g, g.mend()
}

// lostAndFound returns the account for what has no owner.
func (t tx) lostAndFound() (*grown, error) {
	g, err := t.account(tree{user: recoveredUser})
	if errors.Is(err, storage.ErrNoMailbox) {
		g, err = t.newAccount(recoveredUser)
	}
	return g, err
}

// fixLost gives a mailbox without a name one, in the account that it belongs to
// or, if there is none, in the one for what has no owner.
func (r *repairer) fixLost(ctx context.Context, group []Damage) error {
	id := group[0].of.mailbox
	return r.commit(ctx, func(t tx) error {
		g, err := t.ownerOf(id, group[0].of.account)
		if err != nil {
			return err
		}
		names, err := namesOf(t, g.tree.id, id)
		if err != nil || len(names) > 0 {
			return orNothing(err)
		}
		st, err := getState(t.Tx, id)
		if ignoreMissing(err) != nil {
			return err
		}
		if err != nil || st.account != g.tree.id {
			m := mend{id: id, account: g.tree.id, owned: true}
			if err := m.mend(t); err != nil && err != errNothing {
				return err
			}
		}
		if _, err := g.readmit(box{id: id}); err != nil {
			return err
		}
		g.save()
		return nil
	})
}

// ownerOf returns the account of a mailbox without a name.
func (t tx) ownerOf(id storage.MailboxID, a accountID) (*grown, error) {
	users, err := usersIn(t)
	if err != nil {
		return nil, err
	}
	if user := users[a]; user != "" {
		return t.account(tree{user: user})
	}
	return t.lostAndFound()
}

// fixShared gives all names but one that stand for one mailbox new mailboxes.
func (r *repairer) fixShared(ctx context.Context, group []Damage) error {
	id := group[0].of.mailbox
	return r.commit(ctx, func(t tx) error {
		st, err := getState(t.Tx, id)
		if ignoreMissing(err) != nil {
			return err
		}
		users, err := usersIn(t)
		if err != nil {
			return err
		}
		lines, err := t.namesFor(id)
		if err != nil || len(lines) < 2 {
			return orNothing(err)
		}
		keep := 0
		for i, l := range lines {
			if l.account == st.account {
				keep = i
				break
			}
		}
		for i, l := range lines {
			if i == keep || users[l.account] == "" {
				continue
			}
			g, err := t.account(tree{user: users[l.account]})
			if err == nil {
				g.mailboxes--
				_, err = g.insert(l.name, storage.NewMailbox{Kind: l.kind, Attrs: l.attrs})
			}
			if err != nil {
				return err
			}
			g.save()
		}
		return nil
	})
}

// named is a name of a mailbox in some account.
type named struct {
	account accountID
	name    string
	box
}

func (t tx) namesFor(id storage.MailboxID) (list []named, err error) {
	err = t.Scan([]byte{keyName}, []byte{keyName + 1}, func(k, v []byte) error {
		n, ok := number(k, 0)
		if b, err := parseBox(v); ok && err == nil && b.id == id {
			list = append(list, named{accountID(n), string(k[9:]), b})
		}
		return nil
	})
	return list, err
}

// fixDoomed keeps a mailbox that is there, and lets one be cleared away that
// is not.
func (r *repairer) fixDoomed(ctx context.Context, group []Damage) error {
	id := group[0].of.mailbox
	return r.commit(ctx, func(t tx) error {
		switch _, there, err := t.Get(stateKey(id)); {
		case err != nil:
			return err
		case there || group[0].Kind == DamageDoomedMailbox:
			t.Delete(doomedKey(id))
		default:
			t.Set(doomedKey(id), nil)
		}
		return nil
	})
}
