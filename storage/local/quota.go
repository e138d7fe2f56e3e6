package local

import (
	"cmp"
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// settings returns what the accounts of a user's domain have in common.
func (s *Store) settings(user string) storage.Settings {
	return s.options.Settings(storage.Domain(user))
}

// used returns what an account holds on disk. That of one with a bound is kept
// in memory from then on.
func (s *Store) used(ctx context.Context, a tree, limit storage.Quota, settings *storage.Settings) (storage.Quota, error) {
	if used, ok := s.held.durable(a.id); ok {
		return used, nil
	}
	if limit != (storage.Quota{}) {
		err := s.commit(ctx, nil, func(t tx) error {
			_, err := t.holds(a, limit, settings)
			return cmp.Or(err, errNothing)
		})
		if err != nil {
			return storage.Quota{}, err
		}
		if used, ok := s.held.durable(a.id); ok {
			return used, nil
		}
	}
	snap := s.e.Snapshot()
	defer snap.Close()
	return sumOf(ctx, snap, a.id)
}

// Quota returns what bounds the account and what it holds.
func (a *account) Quota(ctx context.Context) (limit, used storage.Quota, err error) {
	if err := a.s.ready(ctx); err != nil {
		return limit, used, err
	}
	rec, ok, err := getAccount(a.s.e, a.user)
	if err == nil && (!ok || rec.id != a.id) {
		err = storage.ErrNoMailbox
	}
	if err != nil {
		return limit, used, err
	}
	return a.s.quota(ctx, a.user, &rec)
}

// Quota returns what bounds the account of a user and what it holds. Unlike
// Account it makes none: one that does not exist holds nothing.
func (s *Store) Quota(ctx context.Context, user string) (limit, used storage.Quota, err error) {
	if err := s.ready(ctx); err != nil {
		return limit, used, err
	}
	rec, ok, err := getAccount(s.e, user)
	if err != nil || !ok {
		return s.settings(user).Quota, used, err
	}
	return s.quota(ctx, user, &rec)
}

func (s *Store) quota(ctx context.Context, user string, rec *accountRecord) (limit, used storage.Quota, err error) {
	settings := s.settings(user)
	limit = settings.Quota.Or(rec.quota)
	used, err = s.used(ctx, tree{user, rec.id}, limit, &settings)
	return limit, used, err
}

// SetQuota gives the account bounds of its own, or takes them away.
func (a *account) SetQuota(ctx context.Context, q *storage.Quota) error {
	q = copyOf(q)
	err := a.change(ctx, func(g *grown) error {
		g.quota = q
		return nil
	})
	if err == nil {
		a.s.notices.look(a.user)
	}
	return err
}

// MailboxQuota returns what bounds a mailbox and what it holds.
func (a *account) MailboxQuota(ctx context.Context, name string) (limit, used storage.Quota, err error) {
	m, err := a.Mailbox(ctx, name)
	if err != nil {
		return limit, used, err
	}
	snap := a.s.e.Snapshot()
	defer snap.Close()
	st, err := getState(snap, m.ID())
	if err != nil {
		return limit, used, err
	}
	used = holds(&st)
	name, _ = storage.CleanName(name)
	from, to := belowKeys(a.id, name)
	err = snap.Scan(ctx, from, to, func(_, _ []byte) error { used.Mailboxes++; return nil })
	return a.s.settings(a.user).MailboxQuota.Or(st.quota), used, failure(err)
}

// SetMailboxQuota gives a mailbox bounds of its own, or takes them away. They
// stand in its state, which stays when its name changes.
func (a *account) SetMailboxQuota(ctx context.Context, name string, q *storage.Quota) error {
	q = copyOf(q)
	name, err := storage.CleanName(name)
	if err != nil {
		return storage.ErrNoMailbox
	}
	return a.change(ctx, func(g *grown) error {
		b, ok, err := g.find(name)
		if err != nil || !ok {
			return cmp.Or(err, storage.ErrNoMailbox)
		}
		st, err := g.state(b.id)
		if err != nil {
			return err
		}
		st.quota = q
		g.put(&boxChange{id: b.id, after: st})
		return nil
	})
}

// copyOf returns bounds as they can be kept.
func copyOf(q *storage.Quota) *storage.Quota {
	if q == nil {
		return nil
	}
	return &storage.Quota{Bytes: max(q.Bytes, 0), Messages: max(q.Messages, 0), Mailboxes: max(q.Mailboxes, 0)}
}

// CheckRoom says whether a message would find room in an account.
func (s *Store) CheckRoom(ctx context.Context, user string, size int64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := s.thawed(user); err != nil {
		return err
	}
	rec, ok, err := getAccount(s.e, user)
	if err != nil {
		return err
	}
	settings := s.settings(user)
	limit, used := settings.Quota.Or(rec.quota), storage.Quota{}
	if limit.Bytes <= 0 && limit.Messages <= 0 {
		return nil
	}
	if ok {
		if used, err = s.used(ctx, tree{user, rec.id}, limit, &settings); err != nil {
			return err
		}
	}
	return fits(limit, used, storage.Quota{Bytes: size, Messages: 1})
}
