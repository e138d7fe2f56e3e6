package memory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// annotating takes other annotations for those that are to be set.
func annotating(f func(set []storage.Annotation) []storage.Annotation) func(*behaviour) {
	return func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) error {
			return a.Annotate(ctx, mailbox, f(slices.Clone(set))...)
		}
	}
}

// notedAs changes what is told of annotations.
func notedAs(f func(list []storage.Annotation, user string) []storage.Annotation) func(*behaviour) {
	return func(b *behaviour) {
		b.notes = func(a *account, ctx context.Context, mailbox, user string) ([]storage.Annotation, error) {
			list, err := a.Annotations(ctx, mailbox, user)
			return f(list, user), err
		}
	}
}

var annotationFaults = []fault{
	{"annotations are told to everybody", "Living/Annotations/AreSharedOrOfOneUser", func(b *behaviour) {
		b.notes = func(a *account, ctx context.Context, mailbox, user string) ([]storage.Annotation, error) {
			list, err := a.Annotations(ctx, mailbox, user)
			a.store.inside(func() {
				if of, err := a.notesOf(ctx, mailbox); err == nil {
					for n, value := range *of {
						if n.user != "" && n.user != user {
							list = append(list, storage.Annotation{Name: n.name, User: n.user, Value: value})
						}
					}
				}
			})
			return list, err
		}
	}},
	{"private annotations are shared", "Living/Annotations/AreSharedOrOfOneUser Durable/Acknowledged/Annotate", annotating(func(set []storage.Annotation) []storage.Annotation {
		for i := range set {
			set[i].User = ""
		}
		return set
	})},
	{"annotations are not sorted", "Living/Annotations/AreKept", notedAs(func(list []storage.Annotation, _ string) []storage.Annotation {
		slices.Reverse(list)
		return list
	})},
	{"letter case of annotations matters", "Living/Annotations/AreKept", notedAs(func(list []storage.Annotation, _ string) []storage.Annotation {
		for i := range list {
			list[i].Name = strings.ToUpper(list[i].Name)
		}
		return list
	})},
	{"empty annotations are none", "Living/Annotations/HoldAnyOctets", annotating(func(set []storage.Annotation) []storage.Annotation {
		for i := range set {
			if len(set[i].Value) == 0 {
				set[i].Value = nil
			}
		}
		return set
	})},
	{"annotations end with NUL", "Living/Annotations/HoldAnyOctets", annotating(func(set []storage.Annotation) []storage.Annotation {
		for i := range set {
			if at := strings.IndexByte(string(set[i].Value), 0); at >= 0 {
				set[i].Value = set[i].Value[:at]
			}
		}
		return set
	})},
	{"annotations are set one by one", "Living/Annotations/AreSetAllOrNone", func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) (err error) {
			for _, n := range set {
				err = errors.Join(err, a.Annotate(ctx, mailbox, n))
			}
			return err
		}
	}},
	{"bad annotations are passed over", "Living/Annotations/AreRefusedWithBadNames Living/Annotations/HaveBounds", annotating(func(set []storage.Annotation) []storage.Annotation {
		return slices.DeleteFunc(set, func(n storage.Annotation) bool { _, err := n.Clean(); return err != nil })
	})},
	{"annotations have no bounds", "Living/Annotations/HaveBounds", func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) error {
			err := a.Annotate(ctx, mailbox, set...)
			if errors.Is(err, storage.ErrLimit) && len(set) == 1 && len(set[0].Value) <= storage.MaxAnnotationValue {
				return nil
			}
			return err
		}
	}},
	{"annotations of a missing mailbox are empty", "Living/Annotations/OfMissingMailboxesThereAreNone", func(b *behaviour) {
		b.notes = func(a *account, ctx context.Context, mailbox, user string) ([]storage.Annotation, error) {
			list, err := a.Annotations(ctx, mailbox, user)
			if errors.Is(err, storage.ErrNoMailbox) {
				err = nil
			}
			return list, err
		}
	}},
	{"annotations stay with the name", "Living/Annotations/StayWithRenamedMailboxes", renameThen(func(a *account, from, to string, had map[string]*mailbox) {
		if m := a.boxes[to]; m != nil && had[from] == m {
			m.notes = nil
		}
	})},
	{"annotations go with the messages of INBOX", "Living/Annotations/StayWithRenamedMailboxes", renameThen(func(a *account, from, to string, _ map[string]*mailbox) {
		if strings.EqualFold(from, storage.Inbox) {
			a.boxes[to].notes, a.boxes[storage.Inbox].notes = a.boxes[storage.Inbox].notes, nil
		}
	})},
	{"annotations stay with the name of a deleted mailbox", "Living/Annotations/GoWithDeletedMailboxesAndAccounts", func(b *behaviour) {
		left := make(map[string]notes)
		b.delete = func(a *account, ctx context.Context, name string) error {
			m, err := a.find(name)
			if err == nil {
				left[name] = m.notes
			}
			return a.Delete(ctx, name)
		}
		b.create = func(a *account, ctx context.Context, name string, n storage.NewMailbox) error {
			err := a.Create(ctx, name, n)
			if err == nil {
				a.store.inside(func() { a.boxes[name].notes = left[name] })
			}
			return err
		}
	}},
	{"annotations are the caller's", "Living/Annotations/AreNobodyElsesToChange", func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) error {
			err := a.Annotate(ctx, mailbox, set...)
			a.store.inside(func() {
				if of, found := a.notesOf(ctx, mailbox); err == nil && found == nil {
					for _, n := range set {
						if n, err := n.Clean(); err == nil && n.Value != nil {
							(*of)[noteName{n.User, n.Name}] = n.Value
						}
					}
				}
			})
			return err
		}
	}},
	{"nobody is told of annotations", "Living/Annotations/AreToldOfWhenTheyChange", func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) (err error) {
			var watchers map[*watcher]bool
			a.store.inside(func() { watchers, a.watchers = a.watchers, nil })
			err = a.Annotate(ctx, mailbox, set...)
			a.store.inside(func() { a.watchers = watchers })
			return err
		}
	}},
	{"annotations that were there are told of", "Living/Annotations/AreToldOfWhenTheyChange", func(b *behaviour) {
		b.annotate = func(a *account, ctx context.Context, mailbox string, set ...storage.Annotation) error {
			err := a.Annotate(ctx, mailbox, set...)
			a.store.inside(func() { a.notify(storage.Change{}) })
			return err
		}
	}},
}
