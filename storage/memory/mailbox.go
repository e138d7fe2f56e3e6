package memory

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

type mailbox struct {
	account  *account
	id       storage.MailboxID
	validity uint32
	kind     storage.Kind
	attrs    []imap.MailboxAttr
	acl      storage.ACL
	notes    notes
	gone     bool
	quota    *storage.Quota // nil: that of the domain
	size     int64          // of all messages
	next     imap.UID
	modSeq   uint64
	recent   imap.UID // first UID that no session was told of
	messages []stored // by ascending UID
	tombs    []tomb   // by ascending ModSeq
}

type stored struct {
	storage.Message
	content
	saved time.Time
}

type tomb struct {
	uid    imap.UID
	modSeq uint64
}

func (m *mailbox) ready(ctx context.Context) error {
	if err := m.account.store.ready(ctx); err != nil {
		return err
	}
	if m.gone {
		return storage.ErrNoMailbox
	}
	return nil
}

// add stores a message as part of the change that is being made; changed ends
// the change.
func (m *mailbox) add(c content, f storage.Flags, date time.Time) imap.UID {
	if date.IsZero() {
		date = time.Now()
	}
	msg := storage.Message{UID: m.next, ModSeq: m.modSeq + 1, Flags: f, Date: storage.TrimDate(date), Size: c.body.Size()}
	m.messages = append(m.messages, stored{msg, c, m.account.store.second()})
	m.next++
	m.size += msg.Size
	return msg.UID
}

// changed ends a change.
func (m *mailbox) changed() {
	m.modSeq++
	m.account.notify(storage.Change{Mailbox: m.id, ModSeq: m.modSeq})
}

// pick returns the places in messages of those in set.
func (m *mailbox) pick(set imap.UIDSet) []int {
	var last imap.UID
	if n := len(m.messages); n > 0 {
		last = m.messages[n-1].UID
	}
	var places []int
	walk := uids.Normal(set, last).Walk()
	for i := range m.messages {
		if walk.Has(m.messages[i].UID) {
			places = append(places, i)
		}
	}
	return places
}

// remove takes the messages at places out, as part of the change that is
// being made.
func (m *mailbox) remove(places []int) (removed imap.UIDSet) {
	kept := make([]stored, 0, len(m.messages)-len(places))
	for i, msg := range m.messages {
		if len(places) == 0 || places[0] != i {
			kept = append(kept, msg)
			continue
		}
		places = places[1:]
		m.size -= msg.Size
		removed = uids.Append(removed, msg.UID)
		m.tombs = append(m.tombs, tomb{msg.UID, m.modSeq + 1})
	}
	m.messages = kept
	return removed
}

// takeAll moves all messages of from here.
func (m *mailbox) takeAll(from *mailbox) {
	if len(from.messages) == 0 {
		return
	}
	places := make([]int, len(from.messages))
	for i, msg := range from.messages {
		places[i] = i
		m.add(msg.content, msg.Flags, msg.Date)
	}
	from.remove(places)
	m.changed()
	from.changed()
}

func (m *mailbox) find(uid imap.UID) (*stored, error) {
	i, ok := slices.BinarySearchFunc(m.messages, uid, func(s stored, uid imap.UID) int { return cmp.Compare(s.UID, uid) })
	if !ok {
		return nil, storage.ErrNoMessage
	}
	return &m.messages[i], nil
}

func (m *mailbox) ID() storage.MailboxID { return m.id }
func (m *mailbox) Kind() storage.Kind    { return m.kind }

// Status counts the messages.
func (m *mailbox) Status(ctx context.Context) (storage.Status, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return storage.Status{}, err
	}
	s := storage.Status{UIDValidity: m.validity, UIDNext: m.next, HighestModSeq: m.modSeq, Messages: uint32(len(m.messages))}
	for _, msg := range m.messages {
		s.Size += msg.Size
		if !msg.Flags.Has(storage.Seen) {
			s.Unseen++
		}
		if msg.Flags.Has(storage.Deleted) {
			s.Deleted++
		}
		if msg.UID >= m.recent {
			s.Recent++
		}
	}
	return s, nil
}

// Messages yields a copy of the list as it stands when the iteration begins.
func (m *mailbox) Messages(ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
	return func(yield func(storage.Message, error) bool) {
		list, err := m.list(ctx, since)
		if err != nil {
			yield(storage.Message{}, err)
			return
		}
		for _, msg := range list {
			if !yield(msg, nil) {
				return
			}
		}
	}
}

func (m *mailbox) list(ctx context.Context, since uint64) (list []storage.Message, err error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	for _, msg := range m.messages {
		if msg.ModSeq > since {
			list = append(list, msg.Message)
		}
	}
	return list, nil
}

// Expunged returns the UIDs of tombstones, which are all kept.
func (m *mailbox) Expunged(ctx context.Context, since uint64) (imap.UIDSet, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	var gone []imap.UID
	for _, t := range m.tombs {
		if t.modSeq > since {
			gone = append(gone, t.uid)
		}
	}
	slices.Sort(gone)
	var set imap.UIDSet
	for _, uid := range gone {
		set = uids.Append(set, uid)
	}
	return set, nil
}

// Open returns a message's content.
func (m *mailbox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	c, err := m.contentOf(ctx, uid)
	if err != nil {
		return nil, err
	}
	return open{c.body}, nil
}

// Index returns a message's part index.
func (m *mailbox) Index(ctx context.Context, uid imap.UID) (*message.Part, error) {
	c, err := m.contentOf(ctx, uid)
	return c.index, err
}

func (m *mailbox) contentOf(ctx context.Context, uid imap.UID) (content, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return content{}, err
	}
	msg, err := m.find(uid)
	if err != nil {
		return content{}, err
	}
	return msg.content, nil
}

// TakeRecent tells the caller, and nobody after, which messages are new.
func (m *mailbox) TakeRecent(ctx context.Context) (first imap.UID, err error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	first, m.recent = m.recent, m.next
	return first, nil
}
