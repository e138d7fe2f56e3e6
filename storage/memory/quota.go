package memory

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// strictness says whether the bounds of an account hold for a change.
type strictness int

const (
	bounded strictness = iota
	overQuota
)

func (a *account) settings() storage.Settings { return a.store.settings(storage.Domain(a.user)) }

// holds adds up what the account holds.
func (a *account) holds() (q storage.Quota) {
	for _, m := range a.boxes {
		q = q.Plus(m.holds())
	}
	return q
}

func (m *mailbox) holds() storage.Quota {
	return storage.Quota{Bytes: m.size, Messages: int64(len(m.messages)), Mailboxes: 1}
}

// room returns ErrOverQuota when messages have no room in the account or in
// one of its mailboxes, which is nil when it is yet to be made.
func (a *account) room(m *mailbox, more storage.Quota) error {
	if err := a.roomInAll(more); err != nil {
		return err
	}
	return m.room(a.settings(), more)
}

// roomInAll is room in the account alone.
func (a *account) roomInAll(more storage.Quota) error {
	limit := a.settings().Quota.Or(a.quota)
	if limit == (storage.Quota{}) {
		return nil
	}
	used := a.holds().Plus(more)
	used.Mailboxes = 0 // these are no more of them
	return limit.Check(used)
}

// room is that in a mailbox alone.
func (m *mailbox) room(settings storage.Settings, more storage.Quota) error {
	if m == nil {
		return settings.MailboxQuota.Check(more)
	}
	used := m.holds().Plus(more)
	used.Mailboxes = 0
	return settings.MailboxQuota.Or(m.quota).Check(used)
}

// roomFor returns ErrOverQuota when n mailboxes can't come to a name and below
// it. They are new when from is empty, and move from there when it is not.
func (a *account) roomFor(name, from string, n int) error {
	settings, missing := a.settings(), 0
	for i := strings.LastIndex(name, storage.Separator); i > 0; i = strings.LastIndex(name[:i], storage.Separator) {
		parent, more := name[:i], n
		var own *storage.Quota
		held := 0
		if m := a.boxes[parent]; m != nil {
			own, held = m.quota, 1+len(a.below(parent))
		} else {
			missing++
		}
		if strings.HasPrefix(from, parent+storage.Separator) {
			more = 0 // they are below it already
		}
		if more += missing; more > 0 {
			if err := settings.MailboxQuota.Or(own).Check(storage.Quota{Mailboxes: int64(held + more)}); err != nil {
				return err
			}
		}
	}
	if from == "" {
		missing += n
	}
	if missing == 0 {
		return nil
	}
	return settings.Quota.Or(a.quota).Check(storage.Quota{Mailboxes: int64(len(a.boxes) + missing)})
}

// Quota returns what bounds the account and what it holds.
func (a *account) Quota(ctx context.Context) (limit, used storage.Quota, err error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return limit, used, err
	}
	return a.settings().Quota.Or(a.quota), a.holds(), nil
}

// SetQuota gives the account bounds of its own, or takes them away.
func (a *account) SetQuota(ctx context.Context, q *storage.Quota) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	a.quota = copyOf(q)
	return nil
}

// MailboxQuota returns what bounds a mailbox and what it holds.
func (a *account) MailboxQuota(ctx context.Context, name string) (limit, used storage.Quota, err error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	m, err := a.named(ctx, name)
	if err != nil {
		return limit, used, err
	}
	name, _ = storage.CleanName(name)
	used = m.holds()
	used.Mailboxes += int64(len(a.below(name)))
	return a.settings().MailboxQuota.Or(m.quota), used, nil
}

// SetMailboxQuota gives a mailbox bounds of its own, or takes them away.
func (a *account) SetMailboxQuota(ctx context.Context, name string, q *storage.Quota) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	m, err := a.named(ctx, name)
	if err == nil {
		m.quota = copyOf(q)
	}
	return err
}

func (a *account) named(ctx context.Context, name string) (*mailbox, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	return a.find(name)
}

func copyOf(q *storage.Quota) *storage.Quota {
	if q == nil {
		return nil
	}
	c := *q
	return &c
}

// CheckRoom says whether a message would find room in an account.
func (s *Store) CheckRoom(ctx context.Context, user string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	a := s.accounts[user]
	if a == nil {
		a = &account{store: s, user: user}
	}
	return a.roomInAll(storage.Quota{Bytes: size, Messages: 1})
}

// sizeOf adds up the messages at places.
func (m *mailbox) sizeOf(places []int) (q storage.Quota) {
	for _, at := range places {
		q.Bytes += m.messages[at].Size
	}
	q.Messages = int64(len(places))
	return q
}

// moveTo is copyTo for messages that leave m: only the other mailbox must have
// room for them.
func (m *mailbox) moveTo(to *mailbox, places []int) (storage.Copied, error) {
	if to != m && len(places) > 0 {
		if err := to.room(m.account.settings(), m.sizeOf(places)); err != nil {
			return storage.Copied{}, err
		}
	}
	return m.copyTo(to, places), nil
}
