package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// recoveredUser is the account that gets what nobody knows the owner of. It
// has no domain, so that no mail is for it.
const recoveredUser = "recovered"

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

// fixCounters sets what was given out last beyond all that is in use.
func (r *repairer) fixCounters(ctx context.Context, _ []Damage) error {
	return r.commit(ctx, func(t tx) error {
		used, err := usedCounters(t.Tx)
		if err != nil {
			return err
		}
		c := &t.s.counters
		c.account, c.mailbox = max(c.account, used.account), max(c.mailbox, used.mailbox)
		c.validity, c.retained = max(c.validity, used.validity), max(c.retained, used.retained)
		t.saveCounters()
		return nil
	})
}

// usedCounters returns the highest numbers that are in use.
func usedCounters(r reading) (c counters, err error) {
	each := func(kind byte, f func(n uint64, v []byte)) {
		if err == nil {
			err = r.Scan([]byte{kind}, []byte{kind + 1}, func(k, v []byte) error {
				if n, ok := number(k, 0); ok {
					f(n, v)
				}
				return nil
			})
		}
	}
	err = r.Scan([]byte{keyAccount}, []byte{keyAccount + 1}, func(_, v []byte) error {
		if rec, err := parseAccount(v); err == nil {
			c.account, c.validity = max(c.account, rec.id), max(c.validity, rec.validity)
		}
		return nil
	})
	each(keyName, func(n uint64, v []byte) {
		c.account = max(c.account, accountID(n))
		if b, err := parseBox(v); err == nil {
			c.mailbox = max(c.mailbox, b.id)
		}
	})
	each(keyState, func(n uint64, v []byte) {
		c.mailbox = max(c.mailbox, storage.MailboxID(n))
		st, _ := parseState(v)
		c.validity, c.account = max(c.validity, st.validity), max(c.account, st.account)
	})
	each(keyDoomed, func(_ uint64, v []byte) {
		if d, err := parseDoomed(v); err == nil && d.left > 0 {
			c.retained = max(c.retained, d.next+storage.RetainedID(d.left)-1)
		}
	})
	for _, kind := range [...]byte{keyMessage, keyPage, keyExpunged, keyDoomed} {
		each(kind, func(n uint64, _ []byte) { c.mailbox = max(c.mailbox, storage.MailboxID(n)) })
	}
	if err == nil {
		err = r.Scan([]byte{keyKept}, []byte{keyKept + 1}, func(k, _ []byte) error {
			id, _ := number(k, 8)
			c.retained = max(c.retained, storage.RetainedID(id))
			return nil
		})
	}
	each(keySubscription, func(n uint64, _ []byte) { c.account = max(c.account, accountID(n)) })
	each(keyValidity, func(n uint64, v []byte) {
		c.account = max(c.account, accountID(n))
		if len(v) == 4 {
			c.validity = max(c.validity, binary.BigEndian.Uint32(v))
		}
	})
	return c, err
}

// skipped is how many numbers of mailboxes and accounts are passed over when
// nobody knows any more which were given out.
const skipped = 1 << 20

// lostCounters is what a store goes on from that does not know what it gave out
// last: beyond all that is in use, and beyond what it would be by the time.
func lostCounters(r reading) (counters, error) {
	c, err := usedCounters(r)
	c.account += skipped
	c.mailbox += skipped
	c.retained += skipped
	c.validity = max(c.validity, firstValidity())
	return c, err
}

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
				g := &grown{t, tree{user, id}, accountRecord{id: id}}
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
	g := &grown{t, tree{fmt.Sprintf("%s-%d", recoveredUser, id), id}, accountRecord{id: id}}
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

// fixReferences sets reference counts right.
func (r *repairer) fixReferences(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		for _, d := range group {
			t.Ref(d.of.blob, -d.of.n)
		}
		return nil
	})
}

// fixUnclaimed keeps a body that nobody refers to as a message.
func (r *repairer) fixUnclaimed(ctx context.Context, group []Damage) error {
	of := group[0].of
	return r.commit(ctx, func(t tx) error {
		g, err := t.lostAndFound()
		if err != nil {
			return err
		}
		b, ok, err := g.find(storage.Inbox)
		if err != nil || !ok {
			return errors.Join(err, storage.ErrNoMailbox)
		}
		st, err := t.state(b.id)
		if err != nil {
			return err
		}
		t.Ref(of.blob, 1-of.n)
		m := record{listed: listed{row: row{date: newStamp(time.Time{}), size: of.size}}, place: place{blob: of.blob}}
		_, err = t.add(b.id, st, []record{m})
		return err
	})
}

// tidyHints removes hints that can't be read or are of nothing any more. They
// are no damage: what they say is found again when somebody asks.
func (s *Store) tidyHints(ctx context.Context) error {
	snap := s.e.Snapshot()
	defer snap.Close()
	var gone [][]byte
	err := snap.Scan(ctx, []byte{keyIndex}, []byte{keyIndex + 1}, func(k, v []byte) error {
		if n, ok := number(k, 0); len(gone) < maxPlan && (!ok || !s.isIndex(engine.BlobID(n), v)) {
			gone = append(gone, append([]byte(nil), k...))
		}
		return nil
	})
	if err == nil {
		err = snap.Scan(ctx, []byte{keyRecent}, []byte{keyRecent + 1}, func(k, v []byte) error {
			n, ok := number(k, 0)
			if _, there, err := snap.Get(stateKey(storage.MailboxID(n))); err != nil || ok && there && len(v) == 4 && len(k) == 9 {
				return err
			}
			gone = append(gone, append([]byte(nil), k...))
			return nil
		})
	}
	for _, k := range gone {
		if err == nil {
			err = s.e.PutCache(k, nil)
		}
	}
	return failure(err)
}

// isIndex reports whether a hint is the part index of a body that is there.
func (s *Store) isIndex(b engine.BlobID, v []byte) bool {
	if _, err := message.DecodePart(v); err != nil {
		return false
	}
	body, err := s.e.Open(b)
	if err == nil {
		body.Close()
	}
	return !errors.Is(err, engine.ErrNoBlob)
}
