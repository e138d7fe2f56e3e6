package local

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/posthouse-mail/posthouse/storage"
)

var _ storage.Annotations = (*account)(nil)

// noteKeys begins the keys of all annotations of a mailbox, or of an account
// itself.
type noteKeys []byte

func boxNotes(id storage.MailboxID) noteKeys { return numberKey(keyBoxNote, uint64(id)) }
func accountNotes(a accountID) noteKeys      { return numberKey(keyAccountNote, uint64(a)) }

func (k noteKeys) key(user, name string) []byte {
	return append(appendBytes(k[:len(k):len(k)], user), name...)
}

// parseNoteKey reads who and what an annotation is of. ok is false when that
// can't be.
func parseNoteKey(key []byte) (user, name string, ok bool) {
	if len(key) < 9 {
		return "", "", false
	}
	r := &reader{rest: key[9:]}
	user, name = string(r.bytes()), string(r.rest)
	clean, err := storage.Annotation{Name: name, User: user}.Clean()
	return user, name, !r.bad && err == nil && clean.Name == name
}

// appendNote writes the value of an annotation.
func appendNote(b, value []byte) []byte { return append(append(b, version), value...) }

// parseNote returns a piece of b, which is never nil.
func parseNote(b []byte) ([]byte, error) {
	r := newReader(b)
	if r.bad || len(r.rest) > storage.MaxAnnotationValue {
		return nil, ErrDamaged
	}
	return r.rest, nil
}

// Annotations returns the annotations of a mailbox, or of the account.
func (a *account) Annotations(ctx context.Context, mailbox, user string) (list []storage.Annotation, err error) {
	if err := a.s.ready(ctx); err != nil {
		return nil, err
	}
	if mailbox, err = cleanOrAccount(mailbox); err != nil {
		return nil, err
	}
	snap := a.s.e.Snapshot()
	defer snap.Close()
	rec, err := a.record(snap)
	if err != nil {
		return nil, err
	}
	keys, err := notesOf(snap, rec.id, mailbox)
	if err != nil {
		return nil, err
	}
	whose := []string{"", user}
	if user == "" {
		whose = whose[:1]
	}
	for _, user := range whose {
		from, to := keys.key(user, storage.Separator), keys.key(user, string(storage.Separator[0]+1))
		err := snap.Scan(ctx, from, to, func(k, v []byte) error {
			value, err := parseNote(v)
			list = append(list, storage.Annotation{Name: string(k[len(from)-1:]), User: user, Value: append([]byte{}, value...)})
			return err
		})
		if err != nil {
			return nil, failure(err)
		}
	}
	return list, nil
}

// notesOf returns the keys of the annotations of a mailbox of a clean name, or
// with the empty name of the account.
func notesOf(g getter, a accountID, mailbox string) (noteKeys, error) {
	if mailbox == "" {
		return accountNotes(a), nil
	}
	b, ok, err := getBox(g, a, mailbox)
	if err != nil || !ok {
		return nil, cmp.Or(err, storage.ErrNoMailbox)
	}
	return boxNotes(b.id), nil
}

// Annotate changes the annotations of a mailbox, or of the account.
func (a *account) Annotate(ctx context.Context, mailbox string, set ...storage.Annotation) error {
	if err := a.s.ready(ctx); err != nil {
		return err
	}
	mailbox, err := cleanOrAccount(mailbox)
	if err != nil {
		return err
	}
	clean := make([]storage.Annotation, len(set))
	for i := range set {
		if clean[i], err = set[i].Clean(); err != nil {
			return err
		}
	}
	return a.change(ctx, func(g *grown) error {
		keys, err := notesOf(g, g.tree.id, mailbox)
		if err != nil {
			return err
		}
		return g.annotate(keys, clean)
	})
}

// annotate sets and removes clean annotations.
func (g *grown) annotate(keys noteKeys, set []storage.Annotation) error {
	had, err := g.annotated(keys)
	if err != nil {
		return err
	}
	has, changed := had, false
	for _, n := range set {
		key := keys.key(n.User, n.Name)
		old, ok, err := g.Get(key)
		if err != nil {
			return err
		}
		if ok {
			has.add(n.Name, old, -1)
		}
		if n.Value == nil {
			changed = changed || ok
			g.Delete(key)
			continue
		}
		value := appendNote(nil, n.Value)
		has.add(n.Name, value, 1)
		changed = changed || !ok || !bytes.Equal(old, value)
		g.Set(key, value)
	}
	switch {
	case !changed:
		return errNothing
	case has.count > max(had.count, storage.MaxAnnotations), has.size > max(had.size, storage.MaxAnnotationsSize):
		return fmt.Errorf("%w: %d annotations of %d octets", storage.ErrLimit, has.count, has.size)
	}
	return nil
}

// noted is how many annotations there are, and how many octets their names and
// values have.
type noted struct{ count, size int }

// add adds an annotation, or with n -1 takes it out. value has its version.
func (a *noted) add(name string, value []byte, n int) {
	a.count += n
	a.size += n * (len(name) + max(len(value)-1, 0))
}

// annotated counts all annotations of a mailbox or an account.
func (g *grown) annotated(keys noteKeys) (sum noted, err error) {
	n, _ := number(keys, 0)
	err = g.Scan(keys, behind(keys[0], n), func(k, v []byte) error {
		_, name, _ := parseNoteKey(k)
		sum.add(name, v, 1)
		return nil
	})
	return sum, err
}
