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

// fixTree mends an account's tree as one change, whatever is damaged of it.
func (r *repairer) fixTree(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		g, err := t.account(tree{user: group[0].of.user})
		if err != nil {
			return err
		}
		return g.mend()
	})
}

// line is a name of a tree as it was met.
type line struct {
	name string
	box
	lost []byte // what can't be read; nil: it can
}

func (g *grown) mend() error {
	for _, step := range [...]func() error{g.mendSubscriptions, g.mendValidity, g.mendNames, g.recount} {
		if err := step(); err != nil {
			return err
		}
	}
	if !g.noticesRight() {
		g.noticed, g.threshold, g.silent = 0, 0, 0
	}
	g.save()
	return nil
}

func (g *grown) each(kind byte, f func(name string, k, v []byte) error) error {
	id := uint64(g.tree.id)
	return g.Scan(numberKey(kind, id), behind(kind, id), func(k, v []byte) error {
		if len(k) < 10 {
			return nil // removed as an unknown key
		}
		return f(string(k[9:]), k, v)
	})
}

func (g *grown) mendSubscriptions() error {
	return g.each(keySubscription, func(name string, k, v []byte) error {
		if !isClean(name) || len(v) > 0 {
			g.Delete(k)
		}
		return nil
	})
}

// mendValidity puts what a name can't keep where all names keep it.
func (g *grown) mendValidity() error {
	return g.each(keyValidity, func(name string, k, v []byte) error {
		_, taken, err := g.Get(nameKey(keyName, g.tree.id, name))
		if err != nil || len(v) == 4 && isClean(name) && !taken {
			return err
		}
		had := g.s.counters.validity
		if len(v) == 4 {
			had = min(had, binary.BigEndian.Uint32(v))
		}
		g.validity = max(g.validity, had)
		g.Delete(k)
		return nil
	})
}

func (g *grown) mendNames() error {
	var lines []line
	err := g.each(keyName, func(name string, _, v []byte) error {
		b, err := parseBox(v)
		l := line{name: name, box: b}
		if err != nil {
			l.lost = append([]byte{}, v...)
		}
		lines = append(lines, l)
		return nil
	})
	if err != nil {
		return err
	}
	g.mailboxes = uint32(len(lines))
	for _, mend := range [...]func([]line) error{g.mendUnreadable, g.mendBadNames, g.mendLists, g.mendKinds, g.mendShares} {
		if err := mend(lines); err != nil {
			return err
		}
	}
	if _, ok, err := g.Get(nameKey(keyName, g.tree.id, storage.Inbox)); err != nil || ok || storage.IsPublic(g.user) {
		return err
	}
	_, err = g.insert(storage.Inbox, storage.NewMailbox{Kind: storage.Mail})
	return err
}

// mendUnreadable gives names that can't be read their mailboxes back.
func (g *grown) mendUnreadable(lines []line) error {
	lost := 0
	for i := range lines {
		if lines[i].lost != nil {
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	free, err := g.unnamed(lines)
	if err != nil {
		return err
	}
	for i := range lines {
		l := &lines[i]
		if l.lost == nil {
			continue
		}
		id := idOfLost(l.lost)
		at := slices.Index(free, id)
		if at < 0 && lost == 1 && len(free) == 1 {
			at = 0
		}
		if at < 0 {
			g.Delete(nameKey(keyName, g.tree.id, l.name))
			l.name = ""
			continue
		}
		l.box = box{id: free[at], kind: storage.Mail}
		free = slices.Delete(free, at, at+1)
		g.putBox(l.name, l.box)
	}
	return nil
}

// idOfLost reads the beginning of a record that can't be read.
func idOfLost(v []byte) storage.MailboxID { return storage.MailboxID(newReader(v).number()) }

// unnamed returns the mailboxes of the account that no name stands for.
func (g *grown) unnamed(lines []line) (free []storage.MailboxID, err error) {
	err = g.Scan([]byte{keyState}, []byte{keyState + 1}, func(k, v []byte) error {
		n, ok := number(k, 0)
		st, err := parseState(v)
		if ok && err == nil && st.account == g.tree.id && !slices.ContainsFunc(lines, func(l line) bool { return l.lost == nil && l.id == storage.MailboxID(n) }) {
			free = append(free, storage.MailboxID(n))
		}
		return nil
	})
	return free, err
}

// mendBadNames gives mailboxes with a name that none can have another one.
func (g *grown) mendBadNames(lines []line) error {
	for i := range lines {
		l := &lines[i]
		if l.name == "" || isClean(l.name) {
			continue
		}
		g.Delete(nameKey(keyName, g.tree.id, l.name))
		name, err := g.readmit(l.box)
		if err != nil {
			return err
		}
		l.name = name
	}
	return nil
}

// mendLists puts access control lists in order.
func (g *grown) mendLists(lines []line) error {
	g.acl, _ = g.acl.Clean()
	for i := range lines {
		l := &lines[i]
		if clean, err := l.acl.Clean(); l.name != "" && (err != nil || !clean.Equal(l.acl)) {
			l.acl = clean
			g.putBox(l.name, l.box)
		}
	}
	return nil
}

// mendShares lists what lists allow.
func (g *grown) mendShares(lines []line) error {
	g.share(0, nil, g.acl)
	for i := range lines {
		if l := &lines[i]; l.name != "" {
			g.share(l.id, nil, l.acl)
		}
	}
	return nil
}

// mendKinds gives every mailbox one above it, of the same kind. Names come
// before those below them.
func (g *grown) mendKinds(lines []line) error {
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.name, b.name) })
	for i := range lines {
		l := &lines[i]
		if l.name == storage.Inbox && l.kind != storage.Mail {
			l.kind = storage.Mail
			g.putBox(l.name, l.box)
		}
		at := strings.LastIndex(l.name, storage.Separator)
		if at <= 0 {
			continue
		}
		if err := g.createParents(l.name, l.kind); err != nil {
			return err
		}
		above, ok, err := g.find(l.name[:at])
		if err != nil {
			return err
		}
		if ok && above.kind != l.kind {
			l.kind = above.kind
			g.putBox(l.name, l.box)
		}
	}
	return nil
}

// recount makes the account's counts what is there.
func (g *grown) recount() error {
	for _, c := range [...]struct {
		kind  byte
		count *uint32
	}{{keyName, &g.mailboxes}, {keySubscription, &g.subs}, {keyValidity, &g.freed}} {
		*c.count = 0
		if err := g.each(c.kind, func(string, []byte, []byte) error { *c.count++; return nil }); err != nil {
			return err
		}
	}
	return nil
}

// readmit gives a mailbox a name of its own, Recovered/N, and subscribes it.
func (g *grown) readmit(b box) (name string, err error) {
	name = fmt.Sprintf("Recovered%s%d", storage.Separator, b.id)
	if kind, err := g.kindUnder(name, b.kind); err == nil && b.kind == 0 {
		b.kind = kind
	} else if err != nil {
		name = fmt.Sprintf("Recovered-%d", b.id)
	}
	for n := 2; ; n++ {
		if _, ok, err := g.Get(nameKey(keyName, g.tree.id, name)); err != nil || !ok {
			if err != nil {
				return "", err
			}
			break
		}
		name = fmt.Sprintf("Recovered-%d-%d", b.id, n)
	}
	if err := g.createParents(name, b.kind); err != nil {
		return "", err
	}
	had, err := g.place(name, b)
	if err != nil {
		return "", err
	}
	g.mailboxes++
	if err := g.subscribe(name); err != nil {
		return "", err
	}
	st, err := g.state(b.id)
	if err != nil || had < st.validity {
		return name, ignoreMissing(err)
	}
	st.validity, st.modSeq = g.freshValidity(), st.modSeq+1
	g.put(&boxChange{id: b.id, after: st})
	return name, nil
}

// ignoreMissing drops the error about a mailbox without a state, which is
// mended later.
func ignoreMissing(err error) error {
	if isDamage(err) || err == storage.ErrNoMailbox {
		return nil
	}
	return err
}

// namesOf returns the names that an account has for a mailbox.
func namesOf(t tx, a accountID, id storage.MailboxID) (names []string, err error) {
	err = t.Scan(numberKey(keyName, uint64(a)), behind(keyName, uint64(a)), func(k, v []byte) error {
		if b, err := parseBox(v); err == nil && b.id == id && len(k) > 9 {
			names = append(names, string(k[9:]))
		}
		return nil
	})
	return names, err
}
