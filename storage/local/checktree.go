package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// account checks an account's tree and all mailboxes in it.
func (c *checker) account(ctx context.Context, user string, rec accountRecord) error {
	t := treeCheck{c: c, rec: rec, of: subject{user: user}, where: fmt.Sprintf("account %q", user), kinds: make(map[string]storage.Kind)}
	if err := t.list("the account", 0, rec.acl); err != nil {
		return err
	}
	t.notice()
	for _, of := range [...]struct {
		kind byte
		look func(name string, v []byte) error
	}{
		{keyName, func(name string, v []byte) error { return t.name(ctx, name, v) }},
		{keySubscription, t.subscription},
		{keyValidity, t.validity},
	} {
		err := c.snap.Scan(ctx, numberKey(of.kind, uint64(rec.id)), behind(of.kind, uint64(rec.id)), func(k, v []byte) error {
			if len(k) < 10 {
				return nil // reported as an unknown key
			}
			return of.look(string(k[9:]), v)
		})
		if err != nil {
			return err
		}
	}
	if t.names != rec.mailboxes || t.subs != rec.subs || t.freed != rec.freed {
		t.found(DamageAccountCounts, "has %d mailboxes, %d subscriptions and %d free names, and counts %d, %d and %d", t.names, t.subs, t.freed, rec.mailboxes, rec.subs, rec.freed)
	}
	if _, ok := t.kinds[storage.Inbox]; !ok && !t.inbox && !storage.IsPublic(user) {
		t.found(DamageNoInbox, "has no INBOX")
	}
	return nil
}

// treeCheck is the check of one account's tree.
type treeCheck struct {
	c                  *checker
	rec                accountRecord
	of                 subject
	where              string
	names, subs, freed uint32
	inbox              bool                    // its name is there, though it may not be readable
	kinds              map[string]storage.Kind // of the names so far
}

func (t *treeCheck) found(k DamageKind, format string, args ...any) {
	t.c.found(k, t.of, t.where, format, args...)
}

func (t *treeCheck) name(ctx context.Context, name string, v []byte) error {
	t.names++
	t.inbox = t.inbox || name == storage.Inbox
	b, err := parseBox(v)
	if err != nil {
		t.found(DamageUnreadableName, "mailbox %q: %v", name, err)
		t.kinds[name] = 0
		return nil
	}
	t.kinds[name] = b.kind
	if err := t.list(fmt.Sprintf("mailbox %q", name), b.id, b.acl); err != nil {
		return err
	}
	if name == storage.Inbox && b.kind != storage.Mail {
		t.found(DamageWrongKind, "INBOX is for %v", b.kind)
	}
	t.c.gave(b.id)
	if !isClean(name) {
		t.found(DamageBadName, "mailbox %q has a name that none can have", name)
	} else if i := strings.LastIndex(name, storage.Separator); i > 0 {
		switch above, ok := t.kinds[name[:i]]; {
		case !ok:
			t.found(DamageNoParent, "mailbox %q has none above it", name)
		case above != 0 && above != b.kind:
			t.found(DamageWrongKind, "mailbox %q is for %v and the one above it for %v", name, b.kind, above)
		}
	}
	return t.c.mailbox(ctx, fmt.Sprintf("%s mailbox %q (%d)", t.where, name, b.id), b, t.rec.id)
}

// list checks an access control list, and that it is known whom it allows
// something.
func (t *treeCheck) list(of string, id storage.MailboxID, list storage.ACL) error {
	clean, err := list.Clean()
	switch {
	case err != nil:
		t.found(DamageBadList, "access control list of %s: %v", of, err)
	case !clean.Equal(list):
		t.found(DamageBadList, "access control list of %s is not sorted, or has an entry twice or an empty one", of)
	}
	return t.shares(of, id, clean)
}

func isClean(name string) bool {
	clean, err := storage.CleanName(name)
	return err == nil && clean == name
}

func (t *treeCheck) subscription(name string, v []byte) error {
	t.subs++
	if !isClean(name) || len(v) > 0 {
		t.found(DamageBadSubscription, "subscription %q is of a name that no mailbox can have", name)
	}
	return nil
}

func (t *treeCheck) validity(name string, v []byte) error {
	t.freed++
	if len(v) != 4 || !isClean(name) {
		t.found(DamageBadValidity, "UIDVALIDITY of the free name %q can't be read", name)
		return nil
	}
	t.c.given.validity = max(t.c.given.validity, binary.BigEndian.Uint32(v))
	_, taken, err := t.c.snap.Get(nameKey(keyName, t.rec.id, name))
	if err == nil && taken {
		t.found(DamageBadValidity, "mailbox %q has a name that is kept as a free one", name)
	}
	return err
}

// owned is a mailbox with the account that a name of it is in.
type owned struct {
	id      storage.MailboxID
	account accountID
}

// trees looks for what is left of accounts that are not there.
func (c *checker) trees(ctx context.Context) error {
	slices.Sort(c.known)
	unowned := make(map[accountID]bool)
	for _, kind := range [...]byte{keyName, keySubscription, keyValidity} {
		err := c.snap.Scan(ctx, []byte{kind}, []byte{kind + 1}, func(k, v []byte) error {
			n, ok := number(k, 0)
			if !ok || len(k) < 10 {
				return c.unknownKey(k)
			}
			id := accountID(n)
			c.given.account = max(c.given.account, id)
			if _, ok := slices.BinarySearch(c.known, id); ok {
				return nil
			}
			if kind == keyName {
				if b, err := parseBox(v); err == nil {
					c.named = append(c.named, owned{b.id, id})
				}
			}
			if !unowned[id] {
				c.unowned(id, kind)
			}
			unowned[id] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) unowned(id accountID, kind byte) {
	where, of := fmt.Sprintf("account number %d", id), subject{account: id, key: string(numberKey(kind, uint64(id)))}
	if kind == keyName {
		c.found(DamageUnownedTree, of, where, "has mailboxes and is not there")
	} else {
		c.found(DamageStray, of, where, "has subscriptions or free names and is not there")
	}
}

func (c *checker) unknownKey(k []byte) error {
	c.found(DamageUnknownKey, subject{key: string(k)}, "index", "key %q means nothing", k)
	return nil
}

// states compares the names of mailboxes with their states, and with those
// that are being cleared away.
func (c *checker) states(ctx context.Context) error {
	slices.SortFunc(c.named, func(a, b owned) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(c.named); i++ {
		if id := c.named[i].id; id == c.named[i-1].id && (i == 1 || id != c.named[i-2].id) {
			c.found(DamageSharedMailbox, subject{mailbox: id}, fmt.Sprintf("mailbox %d", id), "has two names")
		}
	}
	err := c.mailboxes(ctx, keyState, 9, func(id storage.MailboxID, v []byte) error {
		c.there = append(c.there, id)
		st, err := parseState(v)
		c.given.validity, c.given.account = max(c.given.validity, st.validity), max(c.given.account, st.account)
		if !c.isNamed(id) {
			c.found(DamageUnnamedMailbox, subject{mailbox: id, account: st.account}, fmt.Sprintf("mailbox %d", id), "has a state and no name")
			return c.unnamed(ctx, id, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = c.mailboxes(ctx, keyDoomed, 9, func(id storage.MailboxID, v []byte) error {
		c.doomed = append(c.doomed, id)
		c.doomedBox(id, v)
		if _, ok := slices.BinarySearch(c.there, id); ok || c.isNamed(id) {
			c.found(DamageDoomedMailbox, subject{mailbox: id}, fmt.Sprintf("mailbox %d", id), "is there, and is to be cleared away")
		}
		return nil
	})
	if err == nil {
		err = c.strays(ctx, keyPage, 13)
	}
	if err == nil {
		err = c.strays(ctx, keyExpunged, 17)
	}
	return err
}

// unnamed checks a mailbox that no name stands for.
func (c *checker) unnamed(ctx context.Context, id storage.MailboxID, unreadable error) error {
	if unreadable != nil {
		return nil // its state is made anew with a name
	}
	v := &survey{r: moment{c.snap, ctx}, id: id, bad: func(k DamageKind, _ uint32, what string) {
		c.found(k, subject{mailbox: id}, fmt.Sprintf("mailbox %d", id), "%s", what)
	}}
	err := v.read()
	c.sum.Messages += int64(v.st.messages)
	c.sum.Octets += v.st.size
	return err
}

// mailboxes calls f for the mailbox of every key of a kind.
func (c *checker) mailboxes(ctx context.Context, kind byte, length int, f func(id storage.MailboxID, v []byte) error) error {
	return c.snap.Scan(ctx, []byte{kind}, []byte{kind + 1}, func(k, v []byte) error {
		n, ok := number(k, 0)
		if !ok || len(k) != length {
			return c.unknownKey(k)
		}
		c.gave(storage.MailboxID(n))
		return f(storage.MailboxID(n), v)
	})
}

// strays looks for pages or tombstones of mailboxes that are not there.
func (c *checker) strays(ctx context.Context, kind byte, length int) error {
	last := storage.MailboxID(0)
	return c.mailboxes(ctx, kind, length, func(id storage.MailboxID, _ []byte) error {
		if id != last && !c.isThere(id) {
			c.found(DamageStray, subject{mailbox: id, key: string(numberKey(kind, uint64(id)))}, fmt.Sprintf("mailbox %d", id), "has lists of messages and is not there")
		}
		last = id
		return nil
	})
}

func (c *checker) isNamed(id storage.MailboxID) bool {
	_, ok := slices.BinarySearchFunc(c.named, id, func(o owned, id storage.MailboxID) int { return cmp.Compare(o.id, id) })
	return ok
}

// isThere reports whether a mailbox has a name, a state, or is being cleared away.
func (c *checker) isThere(id storage.MailboxID) bool {
	if _, ok := slices.BinarySearch(c.there, id); ok || c.isNamed(id) {
		return true
	}
	_, ok := slices.BinarySearch(c.doomed, id)
	return ok
}

// gave counts a mailbox that is in use, unless another store gave out its number.
func (c *checker) gave(id storage.MailboxID) {
	if originOf(id) == c.origin {
		c.given.mailbox = max(c.given.mailbox, id)
	}
}

// counters compares what was given out with what is in use.
func (c *checker) counters(context.Context) error {
	b, ok, err := c.snap.Get([]byte{keyCounters})
	if err != nil || !ok && c.given == (counters{}) {
		return err
	}
	had, err := parseCounters(b)
	switch {
	case !ok:
		c.found(DamageCounters, subject{}, "store", "what was given out last is not there")
	case err != nil:
		c.found(DamageCounters, subject{}, "store", "what was given out last: %v", err)
	case had.account < c.given.account || had.mailbox < c.given.mailbox || had.validity < c.given.validity || had.retained < c.given.retained:
		c.found(DamageCounters, subject{}, "store", "account %d, mailbox %d, UIDVALIDITY %d and retained message %d are in use, and %d, %d, %d and %d were given out last",
			c.given.account, c.given.mailbox, c.given.validity, c.given.retained, had.account, had.mailbox, had.validity, had.retained)
	}
	return nil
}

// ownKeys are the kinds of keys that the store and the queue have, ascending.
var ownKeys = []byte{
	keyAccount, keyBoxNote, keyIndex, 'd', 'e', keyFrozen, keyCounters, keyArrival, keyArrived, keyAccountNote, keyLeft, keyMessage, keyName, keyDue, keyPage,
	keyRecent, keyState, keySubscription, keyValidity, keyShare, keyExpunged, keyKept, keyDoomed,
}

// unknown looks for keys that mean nothing.
func (c *checker) unknown(ctx context.Context) error {
	c.stage("index", 0)
	from := []byte{'!' + 1}
	unknown := func(to []byte) error {
		return c.snap.Scan(ctx, from, to, func(k, _ []byte) error { return c.unknownKey(k) })
	}
	if err := c.snap.Scan(ctx, nil, []byte{'!'}, func(k, _ []byte) error { return c.unknownKey(k) }); err != nil {
		return err
	}
	for _, kind := range ownKeys {
		if err := unknown([]byte{kind}); err != nil {
			return err
		}
		from = []byte{kind + 1}
		if kind == keyCounters {
			from = []byte{keyCounters, 0}
		}
	}
	return unknown(nil)
}
