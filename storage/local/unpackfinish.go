package local

import (
	"context"
	"encoding/binary"

	"github.com/posthouse-mail/posthouse/storage"
)

// finish makes the account of what has come, in one change.
func (u *unpacker) finish(ctx context.Context) error {
	if err := u.leave(); err != nil {
		return err
	}
	if err := u.write(ctx); err != nil {
		return err
	}
	if inbox := u.byName[storage.Inbox]; inbox == nil && !storage.IsPublic(u.user) {
		return badArchive("it has no INBOX")
	}
	for name := range u.freed {
		if u.byName[name] != nil {
			return badArchive("mailbox %q has a name that is said to be free", name)
		}
	}
	err := u.s.commit(ctx, nil, func(t tx) error {
		if err := t.replace(u.user, u.o); err != nil {
			return err
		}
		return u.settle(t)
	})
	if err == nil {
		u.s.purger.wake() // what the bodies were listed under goes, and what was replaced
		u.s.purger.expect(u.soonest)
	}
	return err
}

// replace removes the account of a user, if there is one that may go, and thaws
// the name.
func (t tx) replace(user string, o UnpackOptions) error {
	_, there, err := t.Get(accountKey(user))
	if err != nil {
		return err
	}
	t.thaw(user)
	if !there {
		return nil
	}
	g, err := t.grow(tree{user: user})
	if err == nil && !o.Replace {
		err = hasNoMail(t, g.tree.id)
	}
	if err != nil {
		return err
	}
	return g.removeAll()
}

// settle writes the tree: from here on the account is there.
func (u *unpacker) settle(t tx) error {
	c := u.coming
	t.owner = u.user
	g := &grown{tx: t, tree: tree{u.user, c.rec.id}, accountRecord: c.rec}
	highest := c.rec.validity
	for _, b := range c.boxes {
		t.Delete(doomedKey(b.id))
		g.putBox(b.name, b.box)
		g.share(b.id, nil, b.acl)
		g.put(&boxChange{id: b.id, after: b.st, gain: holds(&b.st)})
		if b.told > 1 {
			t.Cache(recentKey(b.id), binary.BigEndian.AppendUint32(nil, b.told))
		}
		highest = max(highest, b.st.validity)
	}
	for _, name := range c.subs {
		g.Set(nameKey(keySubscription, g.tree.id, name), nil)
	}
	for name, v := range c.freed {
		g.Set(nameKey(keyValidity, g.tree.id, name), binary.BigEndian.AppendUint32(nil, v))
		highest = max(highest, v)
	}
	for key, value := range c.notes {
		g.Set(append(accountNotes(g.tree.id), key...), value)
	}
	g.share(0, nil, g.acl)
	g.mailboxes, g.subs, g.freed = uint32(len(c.boxes)), uint32(len(c.subs)), uint32(len(c.freed))
	g.s.counters.validity = max(g.s.counters.validity, highest)
	g.saveCounters()
	t.Delete(leftKey(g.tree.id))
	t.Delete(arrivalKey(u.user))
	g.save()
	return nil
}
