package imap

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// shownAccount is an account without the mailboxes of kinds that clients don't
// see. Everything that a session does goes through it. Children have the kind
// of their parent, so no mailbox that is shown is below one that is not.
type shownAccount struct {
	storage.Account
	kinds []storage.Kind
}

// shown returns what clients see of an account.
func (s *Server) shown(a storage.Account) storage.Account {
	kinds := s.Kinds
	if kinds == nil {
		kinds = []storage.Kind{storage.Mail}
	}
	return &shownAccount{a, kinds}
}

// Unwrap keeps the optional powers of the account, which know of all mailboxes.
func (a *shownAccount) Unwrap() storage.Account { return a.Account }

func (a *shownAccount) shows(k storage.Kind) bool { return slices.Contains(a.kinds, k) }

// Mailboxes lists what is shown, and names that are only subscribed.
func (a *shownAccount) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	list, err := a.Account.Mailboxes(ctx)
	return slices.DeleteFunc(list, func(i storage.MailboxInfo) bool { return i.ID != 0 && !a.shows(i.Kind) }), err
}

// Mailbox opens a mailbox that is shown.
func (a *shownAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.Account.Mailbox(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case !a.shows(m.Kind()):
		return nil, storage.ErrNoMailbox
	}
	return &shownMailbox{m, a}, nil
}

// Create makes a mailbox of the kind of the one above it, if that is shown.
func (a *shownAccount) Create(ctx context.Context, name string, n storage.NewMailbox) error {
	_, err := a.Account.Mailbox(ctx, name)
	if err == nil {
		return storage.ErrMailboxExists
	}
	n.Kind, err = n.Kind.At(name, func(above string) (storage.Kind, error) {
		m, err := a.Account.Mailbox(ctx, above)
		if errors.Is(err, storage.ErrNoMailbox) {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
		return m.Kind(), nil
	})
	switch {
	case err != nil:
		return err
	case !a.shows(n.Kind):
		return storage.ErrBadKind
	}
	return a.Account.Create(ctx, name, n)
}

// Rename moves a mailbox that is shown. The store lets none come below one of
// another kind.
func (a *shownAccount) Rename(ctx context.Context, from, to string) error {
	if _, err := a.Mailbox(ctx, from); err != nil {
		return err
	}
	return a.Account.Rename(ctx, from, to)
}

// Delete removes a mailbox that is shown.
func (a *shownAccount) Delete(ctx context.Context, name string) error {
	if _, err := a.Mailbox(ctx, name); err != nil {
		return err
	}
	return a.Account.Delete(ctx, name)
}

// Subscribe adds a name that is not that of a mailbox which is not shown.
func (a *shownAccount) Subscribe(ctx context.Context, name string) error {
	if err := a.mayName(ctx, name); err != nil {
		return err
	}
	return a.Account.Subscribe(ctx, name)
}

// Unsubscribe is Subscribe the other way round.
func (a *shownAccount) Unsubscribe(ctx context.Context, name string) error {
	if err := a.mayName(ctx, name); err != nil {
		return err
	}
	return a.Account.Unsubscribe(ctx, name)
}

func (a *shownAccount) mayName(ctx context.Context, name string) error {
	m, err := a.Account.Mailbox(ctx, name)
	switch {
	case err == nil && !a.shows(m.Kind()):
		return storage.ErrNoMailbox
	case errors.Is(err, storage.ErrNoMailbox):
		return nil
	}
	return err
}

// shownMailbox is a mailbox from which messages are copied only to where
// clients can see them.
type shownMailbox struct {
	storage.Mailbox
	account *shownAccount
}

// Unwrap keeps the optional powers of the mailbox.
func (m *shownMailbox) Unwrap() storage.Mailbox { return m.Mailbox }

// Copy copies messages to a mailbox that is shown.
func (m *shownMailbox) Copy(ctx context.Context, uids imap.UIDSet, dest string) (storage.Copied, error) {
	if _, err := m.account.Mailbox(ctx, dest); err != nil {
		return storage.Copied{}, err
	}
	return m.Mailbox.Copy(ctx, uids, dest)
}

// Move moves messages to a mailbox that is shown.
func (m *shownMailbox) Move(ctx context.Context, uids imap.UIDSet, dest string) (storage.Copied, error) {
	if _, err := m.account.Mailbox(ctx, dest); err != nil {
		return storage.Copied{}, err
	}
	return m.Mailbox.Move(ctx, uids, dest)
}
