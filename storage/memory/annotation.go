package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

var _ storage.Annotations = (*account)(nil)

// notes are the annotations of a mailbox or an account.
type notes map[noteName][]byte

type noteName struct{ user, name string }

// Annotations returns the annotations of a mailbox, or of the account.
func (a *account) Annotations(ctx context.Context, mailbox, user string) ([]storage.Annotation, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	of, err := a.notesOf(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	var list []storage.Annotation
	for n, value := range *of {
		if n.user == "" || n.user == user {
			list = append(list, storage.Annotation{Name: n.name, User: n.user, Value: append([]byte{}, value...)})
		}
	}
	slices.SortFunc(list, storage.CompareAnnotations)
	return list, nil
}

// Annotate changes the annotations of a mailbox, or of the account.
func (a *account) Annotate(ctx context.Context, mailbox string, set ...storage.Annotation) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	of, err := a.notesOf(ctx, mailbox)
	if err != nil {
		return err
	}
	next := maps.Clone(*of)
	if next == nil {
		next = make(notes)
	}
	for _, n := range set {
		if n, err = n.Clean(); err != nil {
			return err
		}
		if n.Value == nil {
			delete(next, noteName{n.User, n.Name})
		} else {
			next[noteName{n.User, n.Name}] = append([]byte{}, n.Value...)
		}
	}
	if maps.EqualFunc(*of, next, bytes.Equal) {
		return nil
	}
	if len(next) > storage.MaxAnnotations || next.size() > storage.MaxAnnotationsSize {
		return fmt.Errorf("%w: too many annotations", storage.ErrLimit)
	}
	*of = next
	a.notify(storage.Change{})
	return nil
}

// notesOf returns where the annotations of a mailbox, or of the account, are.
func (a *account) notesOf(ctx context.Context, mailbox string) (*notes, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	if mailbox == "" {
		return &a.notes, nil
	}
	m, err := a.find(mailbox)
	if err != nil {
		return nil, err
	}
	return &m.notes, nil
}

// size is how many octets names and values have.
func (n notes) size() (octets int) {
	for name, value := range n {
		octets += len(name.name) + len(value)
	}
	return octets
}
