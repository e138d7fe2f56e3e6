package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// kept is an expunged message that can be given back.
type kept struct {
	storage.Retained
	content
}

// second is the clock without fractions.
func (s *Store) second() time.Time { return s.now().UTC().Truncate(time.Second) }

// retain keeps the messages at places, which are about to be expunged, if the
// domain's settings say so.
func (m *mailbox) retain(places []int) {
	a := m.account
	keep := a.store.settings(storage.Domain(a.user)).Retention
	if keep <= 0 || a.gone {
		return
	}
	name := a.nameOf(m)
	expunged := a.store.second()
	for _, at := range places {
		msg := m.messages[at]
		a.lastKept++
		a.kept = append(a.kept, kept{storage.Retained{
			ID: a.lastKept, Mailbox: name, Kind: m.kind, Expunged: expunged, Until: expunged.Add(keep), Message: msg.Message,
		}, msg.content})
	}
}

// retainAll is retain for a mailbox that is deleted.
func (m *mailbox) retainAll() {
	places := make([]int, len(m.messages))
	for i := range places {
		places[i] = i
	}
	m.retain(places)
}

func (a *account) nameOf(m *mailbox) string {
	for name, x := range a.boxes {
		if x == m {
			return name
		}
	}
	return ""
}

// expire forgets what need not be kept any more.
func (a *account) expire() {
	now := a.store.second()
	a.kept = slices.DeleteFunc(a.kept, func(k kept) bool { return !now.Before(k.Until) })
}

// take removes the retained messages of ids and returns them.
func (a *account) take(ids []storage.RetainedID) (taken []kept) {
	a.expire()
	rest := make([]kept, 0, len(a.kept))
	for _, k := range a.kept {
		if slices.Contains(ids, k.ID) {
			taken = append(taken, k)
		} else {
			rest = append(rest, k)
		}
	}
	a.kept = rest
	return taken
}

// Retained yields a copy of the list as it stands when the iteration begins.
func (a *account) Retained(ctx context.Context) iter.Seq2[storage.Retained, error] {
	return func(yield func(storage.Retained, error) bool) {
		list, err := a.listKept(ctx)
		if err != nil {
			yield(storage.Retained{}, err)
			return
		}
		for _, k := range list {
			if !yield(k.Retained, nil) {
				return
			}
		}
	}
}

func (a *account) listKept(ctx context.Context) ([]kept, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	a.expire()
	return slices.Clone(a.kept), nil
}

// OpenRetained returns a retained message's content.
func (a *account) OpenRetained(ctx context.Context, id storage.RetainedID) (message.OpenBody, error) {
	list, err := a.listKept(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(k kept) bool { return k.ID == id })
	if at < 0 {
		return nil, storage.ErrNoMessage
	}
	return open{list[at].body}, nil
}

// Restore puts retained messages back.
func (a *account) Restore(ctx context.Context, dest string, ids ...storage.RetainedID) (int, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return 0, err
	}
	if dest != "" {
		name, err := storage.CleanName(dest)
		if err != nil {
			return 0, err
		}
		dest = name
	}
	before := *a
	before.boxes, before.subs, before.validity = maps.Clone(a.boxes), maps.Clone(a.subs), maps.Clone(a.validity)
	taken := a.take(ids)
	into, err := a.destinations(dest, taken)
	if err == nil {
		err = a.roomForKept(into, taken)
	}
	if err != nil {
		*a = before
		return 0, err
	}
	changed := make(map[*mailbox]bool)
	for i, k := range taken {
		flags := k.Flags
		flags.System &^= storage.Deleted
		into[i].add(k.content, flags, k.Date)
		changed[into[i]] = true
	}
	for m := range changed {
		m.changed()
	}
	return len(taken), nil
}

// destinations returns the mailbox for each message. Those that are missing are
// made once it is known that they can be.
func (a *account) destinations(dest string, taken []kept) ([]*mailbox, error) {
	into := make([]*mailbox, len(taken))
	for _, k := range taken {
		name, kind := k.home(dest)
		if a.boxes[name] != nil {
			continue
		}
		if _, err := a.kindUnder(name, kind); err != nil {
			return nil, err
		}
	}
	for i, k := range taken {
		name, kind := k.home(dest)
		if a.boxes[name] == nil {
			if _, err := a.create(name, storage.NewMailbox{Kind: kind}, subscribed, bounded); err != nil {
				return nil, err
			}
		}
		into[i] = a.boxes[name]
	}
	return into, nil
}

// roomForKept returns ErrOverQuota when there is no room for all messages.
func (a *account) roomForKept(into []*mailbox, taken []kept) error {
	var all storage.Quota
	each := make(map[*mailbox]storage.Quota)
	for i, k := range taken {
		q := storage.Quota{Bytes: k.Size, Messages: 1}
		all, each[into[i]] = all.Plus(q), each[into[i]].Plus(q)
	}
	for m, q := range each {
		if err := m.room(a.settings(), q); err != nil {
			return err
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return a.roomInAll(all)
}

// home is the mailbox that a message is restored to, and its kind when it has
// to be made.
func (k *kept) home(dest string) (name string, kind storage.Kind) {
	if dest != "" {
		return dest, 0
	}
	return k.Mailbox, k.Kind
}

// Discard removes retained messages for good.
func (a *account) Discard(ctx context.Context, ids ...storage.RetainedID) (int, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return 0, err
	}
	return len(a.take(ids)), nil
}

// Purge expunges what is older than the settings allow. The store does that
// only when it is told to.
func (s *Store) Purge(ctx context.Context) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	for _, a := range s.accounts {
		rules := s.settings(storage.Domain(a.user)).Purge
		for _, m := range a.boxes {
			n += m.purge(rules)
		}
		a.expire()
	}
	return n, nil
}

func (m *mailbox) purge(rules []storage.Purge) int {
	var places []int
	for i, msg := range m.messages {
		if slices.ContainsFunc(rules, func(p storage.Purge) bool {
			return p.Age > 0 && m.has(p.Attr) && !m.account.store.second().Before(msg.saved.Add(p.Age))
		}) {
			places = append(places, i)
		}
	}
	if len(places) > 0 {
		m.retain(places)
		m.remove(places)
		m.changed()
	}
	return len(places)
}

func (m *mailbox) has(attr imap.MailboxAttr) bool {
	return slices.ContainsFunc(m.attrs, func(x imap.MailboxAttr) bool { return strings.EqualFold(string(x), string(attr)) })
}

// SaveDates yields when messages came.
func (m *mailbox) SaveDates(ctx context.Context, set imap.UIDSet) iter.Seq2[storage.SaveDate, error] {
	return walk(ctx, m, set, func(msg *stored) storage.SaveDate { return storage.SaveDate{UID: msg.UID, Date: msg.saved} })
}

// walk yields what of makes of the messages of a set, as they stand when the
// iteration begins.
func walk[T any](ctx context.Context, m *mailbox, set imap.UIDSet, of func(*stored) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		list, err := some(ctx, m, set, of)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func some[T any](ctx context.Context, m *mailbox, set imap.UIDSet, of func(*stored) T) (list []T, err error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	for _, at := range m.pick(set) {
		list = append(list, of(&m.messages[at]))
	}
	return list, nil
}
