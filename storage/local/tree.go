package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

const (
	maxNames = 100_000 // mailboxes of an account, and subscriptions
	maxFreed = 1000    // names nobody has now of which the UIDVALIDITY is kept singly
)

// interest says whether a mailbox is subscribed when it is made.
type interest int

const (
	unsubscribed interest = iota
	subscribed
)

// known is what the committer knows of an account without asking the index.
// It holds what is durable only.
type known struct {
	id    accountID
	quota *storage.Quota               // nil: that of the domain
	boxes map[string]storage.MailboxID // those that were asked for
}

const maxKnown = 100 // names that known keeps of one account

// box is a line of the tree: a mailbox under its name.
type box struct {
	id    storage.MailboxID
	kind  storage.Kind
	attrs []imap.MailboxAttr
	acl   storage.ACL
}

func (b *box) append(to []byte) []byte {
	to = binary.AppendUvarint(append(to, version), uint64(b.id))
	to = appendWords(to, b.attrs)
	to = append(to, byte(b.kind))
	return appendACL(to, b.acl)
}

func parseBox(v []byte) (b box, err error) {
	r := newReader(v)
	b.id = storage.MailboxID(r.number())
	b.attrs = words[imap.MailboxAttr](r)
	if b.kind = storage.Mail; r.version > 1 {
		b.kind = storage.Kind(r.octet())
		b.acl = r.acl()
	}
	if !b.kind.Valid() {
		r.fail()
	}
	return b, r.end()
}

// grown is an account while a change of its tree is being built. Reads see
// the group's earlier changes. save ends the change.
type grown struct {
	tx
	tree
	accountRecord
	over bool // its mailboxes are made whatever its quota is
}

// account begins a change of an account's tree. ErrNoMailbox when there is no
// such account, ErrFrozen when nobody may change it.
func (t tx) account(a tree) (*grown, error) {
	if err := t.s.thawed(a.user); err != nil {
		return nil, err
	}
	return t.grow(a)
}

// grow is account for one that may be frozen.
func (t tx) grow(a tree) (*grown, error) {
	b, ok, err := t.Get(accountKey(a.user))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, storage.ErrNoMailbox
	}
	rec, err := parseAccount(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("account %q: %w", a.user, err)
	case a.id != 0 && rec.id != a.id: // removed, and there is a new one
		return nil, storage.ErrNoMailbox
	}
	a.id = rec.id
	t.owner = a.user
	return &grown{tx: t, tree: a, accountRecord: rec}, nil
}

// newAccount makes an account with its mailboxes. It must not exist.
func (t tx) newAccount(user string) (*grown, error) {
	id := t.newAccountID()
	t.owner = user
	g := &grown{tx: t, tree: tree{user, id}, accountRecord: accountRecord{id: id}, over: true}
	for _, d := range storage.First(user, t.s.options.Mailboxes) {
		if _, err := g.create(d.Name, storage.NewMailbox{Kind: d.Kind, Attrs: d.Attrs}, subscribed); err != nil && !errors.Is(err, storage.ErrMailboxExists) {
			return nil, err
		}
	}
	g.saveCounters() // of an account that begins without mailboxes, too
	g.save()
	return g, nil
}

// newAccountID gives out the number of an account. Whoever calls it saves the
// counters.
func (t tx) newAccountID() accountID {
	c := &t.s.counters
	if c.account++; c.account == 1 { // all that is shared from here on is listed
		t.Set([]byte{keyShare}, nil)
	}
	return c.account
}

// save writes the account itself.
func (g *grown) save() {
	g.s.value = g.accountRecord.append(g.s.value[:0])
	g.Set(accountKey(g.user), g.s.value)
	g.s.pending.changeTree(g.o, g.tree)
}

// find returns the mailbox of a clean name. ok is false when there is none.
func (g *grown) find(name string) (b box, ok bool, err error) {
	return getBox(g, g.tree.id, name)
}

func getBox(g getter, a accountID, name string) (b box, ok bool, err error) {
	v, ok, err := g.Get(nameKey(keyName, a, name))
	if err != nil || !ok {
		return box{}, false, failure(err)
	}
	if b, err = parseBox(v); err != nil {
		return box{}, false, fmt.Errorf("mailbox %q of account %d: %w", name, a, err)
	}
	return b, true, nil
}

// putBox writes the line of a mailbox.
func (g *grown) putBox(name string, b box) {
	g.s.value = b.append(g.s.value[:0])
	g.Set(nameKey(keyName, g.tree.id, name), g.s.value)
}

// create makes a mailbox with its parents. When it fails with one of the
// errors of package storage it has changed nothing.
func (g *grown) create(name string, n storage.NewMailbox, i interest) (storage.MailboxID, error) {
	name, err := storage.CleanName(name)
	if err != nil {
		return 0, err
	}
	if _, ok, err := g.find(name); err != nil || ok {
		return 0, cmp.Or(err, storage.ErrMailboxExists)
	}
	if err := g.room(strings.Count(name, storage.Separator) + 1); err != nil {
		return 0, err
	}
	if n.Kind, err = g.kindUnder(name, n.Kind); err != nil {
		return 0, err
	}
	if err := g.roomFor(name, "", 1); err != nil {
		return 0, err
	}
	if err := g.createParents(name, n.Kind); err != nil {
		return 0, err
	}
	id, err := g.insert(name, n)
	if err == nil && i == subscribed && g.subs < maxNames {
		err = g.subscribe(name)
	}
	return id, err
}

// room returns ErrLimit when the account can't have n mailboxes more.
func (g *grown) room(n int) error {
	if int(g.mailboxes)+n > maxNames {
		return fmt.Errorf("%w: %d mailboxes", storage.ErrLimit, g.mailboxes)
	}
	if uint64(g.s.counters.validity)+uint64(n) > math.MaxUint32 {
		return fmt.Errorf("%w: values of UIDVALIDITY are used up", storage.ErrLimit)
	}
	return nil
}

// kindUnder returns the kind of a mailbox that comes to a name, which has to be
// that of the nearest mailbox above it.
func (g *grown) kindUnder(name string, k storage.Kind) (storage.Kind, error) {
	return k.At(name, func(above string) (storage.Kind, error) {
		b, _, err := g.find(above)
		return b.kind, err
	})
}

// createParents makes the mailboxes above a name that are missing.
func (g *grown) createParents(name string, k storage.Kind) error {
	for parent := range storage.Levels(name) {
		if parent == name {
			break
		}
		if _, ok, err := g.find(parent); err != nil {
			return err
		} else if ok {
			continue
		}
		if _, err := g.insert(parent, storage.NewMailbox{Kind: k}); err != nil {
			return err
		}
	}
	return nil
}

// insert makes a mailbox under a name that is free. There must be room.
func (g *grown) insert(name string, n storage.NewMailbox) (storage.MailboxID, error) {
	acl, err := g.inherited(name)
	if err != nil {
		return 0, err
	}
	validity := g.nextValidity()
	g.s.counters.mailbox++
	b := box{id: g.s.counters.mailbox, kind: n.Kind, attrs: n.Attrs, acl: acl}
	g.share(b.id, nil, acl)
	g.mailboxes++
	g.saveCounters()
	if _, err := g.place(name, b); err != nil {
		return 0, err
	}
	g.put(&boxChange{id: b.id, after: state{account: g.tree.id, validity: validity, next: 1, modSeq: 1}, gain: storage.Quota{Mailboxes: 1}})
	return b.id, nil
}

func (g *grown) nextValidity() uint32 {
	g.s.counters.validity++
	return g.s.counters.validity
}

func (t tx) saveCounters() {
	t.s.value = t.s.counters.append(t.s.value[:0])
	t.Set([]byte{keyCounters}, t.s.value)
}

// place puts a mailbox under a name that is free. It returns the highest
// UIDVALIDITY that the name ever had.
func (g *grown) place(name string, b box) (had uint32, err error) {
	key := nameKey(keyValidity, g.tree.id, name)
	v, ok, err := g.Get(key)
	if err != nil {
		return 0, err
	}
	had = g.validity
	if ok {
		if len(v) != 4 {
			return 0, ErrDamaged
		}
		had = max(had, binary.BigEndian.Uint32(v))
		g.Delete(key)
		g.freed--
	}
	g.putBox(name, b)
	return had, nil
}

// leave takes a mailbox from its name, and keeps the name's UIDVALIDITY.
func (g *grown) leave(name string, validity uint32) error {
	if g.freed >= maxFreed {
		if err := g.forgetFreed(); err != nil {
			return err
		}
	}
	g.freed++
	g.Delete(nameKey(keyName, g.tree.id, name))
	g.Set(nameKey(keyValidity, g.tree.id, name), binary.BigEndian.AppendUint32(nil, validity))
	return nil
}

// forgetFreed keeps the highest UIDVALIDITY of all free names in place of each.
func (g *grown) forgetFreed() error {
	from, to := nameKey(keyValidity, g.tree.id, ""), behind(keyValidity, uint64(g.tree.id))
	g.freed = 0
	return g.Scan(from, to, func(k, v []byte) error {
		if len(v) != 4 {
			return ErrDamaged
		}
		g.validity = max(g.validity, binary.BigEndian.Uint32(v))
		g.Delete(k)
		return nil
	})
}

// rename moves a mailbox to a name that is free. One that comes to the name of
// a younger one gets a new UIDVALIDITY, so that the name's only grows.
func (g *grown) rename(from, to string, b box) error {
	st, err := g.state(b.id)
	if err != nil {
		return err
	}
	if err := g.leave(from, st.validity); err != nil {
		return err
	}
	had, err := g.place(to, b)
	if err != nil || had <= st.validity {
		return err
	}
	if err := g.room(1); err != nil {
		return err
	}
	st.validity = g.nextValidity()
	g.saveCounters()
	st.modSeq++
	g.put(&boxChange{id: b.id, after: st})
	return nil
}

// remove takes a mailbox out of the tree. Its messages go later.
func (g *grown) remove(name string, b box) error {
	st, err := g.state(b.id)
	if err != nil {
		return err
	}
	if err := g.leave(name, st.validity); err != nil {
		return err
	}
	g.mailboxes--
	g.share(b.id, b.acl, nil)
	g.doom(b.id, st)
	g.keepDoomed(name, b, st)
	return nil
}

// doom deletes a mailbox's state and leaves the rest to the purger.
func (t tx) doom(id storage.MailboxID, st state) {
	t.Delete(stateKey(id))
	t.Set(doomedKey(id), nil)
	t.put(&boxChange{id: id, after: st, gone: true, gain: loss(&st)})
}

// below calls f for every child of a mailbox, in the order of names.
func (g *grown) below(name string, f func(name string, b box) error) error {
	from, to := belowKeys(g.tree.id, name)
	return g.Scan(from, to, func(k, v []byte) error {
		b, err := parseBox(v)
		if err != nil {
			return err
		}
		return f(string(k[9:]), b)
	})
}

// belowKeys are the bounds of the keys of all children of a mailbox.
func belowKeys(id accountID, name string) (from, to []byte) {
	return nameKey(keyName, id, name+storage.Separator), nameKey(keyName, id, name+string(storage.Separator[0]+1))
}

// subscribe adds a clean name to the subscriptions.
func (g *grown) subscribe(name string) error {
	key := nameKey(keySubscription, g.tree.id, name)
	switch _, ok, err := g.Get(key); {
	case err != nil:
		return err
	case ok:
		return nil
	case g.subs >= maxNames:
		return fmt.Errorf("%w: %d subscriptions", storage.ErrLimit, g.subs)
	}
	g.subs++
	g.Set(key, nil)
	return nil
}

// within reports whether name is below parent.
func within(name, parent string) bool { return strings.HasPrefix(name, parent+storage.Separator) }
