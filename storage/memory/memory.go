// Package memory is a mail store in memory, for tests and for programs whose
// mail may end with them.
//
// It keeps every promise of package storage but durability and small memory:
// all messages live in memory until they are expunged, or not retained any
// more, and nothing survives the process, so storagetest.RunDurable is not for
// it. Its Store has the powers Remover, RoomChecker, Purger, Watcher, Finder and
// Sharer, its Account ACLs, ACLLister, Annotations, Quotas and Retainer, its Mailbox
// Recenter, SaveDater, ObjectIDs, Replacer and TextIndex. It purges nothing by age on its
// own, and gives no notices of thresholds.
package memory

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// Store is a mail store in memory. Make one with New.
type Store struct {
	mu           sync.Mutex
	closed       bool
	defaults     []storage.Default
	settings     func(domain string) storage.Settings
	now          func() time.Time
	accounts     map[string]*account
	watchers     map[*storeWatcher]bool
	lastMailbox  storage.MailboxID
	lastValidity uint32
}

var (
	_ storage.Store       = (*Store)(nil)
	_ storage.Remover     = (*Store)(nil)
	_ storage.RoomChecker = (*Store)(nil)
	_ storage.Purger      = (*Store)(nil)
	_ storage.Watcher     = (*Store)(nil)
	_ storage.Account     = (*account)(nil)
	_ storage.Quotas      = (*account)(nil)
	_ storage.Retainer    = (*account)(nil)
	_ storage.Mailbox     = (*mailbox)(nil)
	_ storage.Recenter    = (*mailbox)(nil)
	_ storage.TextIndex   = (*mailbox)(nil)
	_ storage.SaveDater   = (*mailbox)(nil)
	_ storage.ObjectIDs   = (*mailbox)(nil)
	_ storage.Replacer    = (*mailbox)(nil)
)

// Options of a store. The zero value is usable.
type Options struct {
	// Settings returns what the accounts of a domain have in common. It must
	// answer from memory and not call the store; what it answers may change.
	// nil: the zero Settings for all.
	Settings func(domain string) storage.Settings

	Now func() time.Time // nil: time.Now
}

// New makes an empty store. Its accounts begin with the mailboxes of
// storage.Defaults.
func New() *Store { return NewWith(Options{}) }

// NewWith is New with options.
func NewWith(o Options) *Store {
	if o.Settings == nil {
		o.Settings = func(string) storage.Settings { return storage.Settings{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{
		defaults:     storage.Defaults(),
		settings:     o.Settings,
		now:          o.Now,
		accounts:     make(map[string]*account),
		watchers:     make(map[*storeWatcher]bool),
		lastValidity: uint32(min(time.Now().Unix(), math.MaxUint32/2)),
	}
}

// Close refuses all further work with storage.ErrClosed. What is stored is
// lost with the Store; contents that are open stay readable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Account returns a user's account.
func (s *Store) Account(ctx context.Context, user string) (storage.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.account(user)
}

// RemoveAccount deletes an account.
func (s *Store) RemoveAccount(ctx context.Context, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	a := s.accounts[user]
	if a == nil {
		return nil
	}
	delete(s.accounts, user)
	a.gone = true
	for name := range a.boxes {
		a.drop(name)
	}
	a.notify(storage.Change{})
	return nil
}

// Deliver stores a message in many mailboxes. They share its content.
func (s *Store) Deliver(ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
	c, err := read(d.Body, d.Index)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	receipts := make([]storage.Receipt, len(d.Targets))
	for i := range d.Targets {
		receipts[i] = s.deliver(c, d.Date, &d.Targets[i])
	}
	return receipts, nil
}

func (s *Store) deliver(c content, date time.Time, t *storage.Target) storage.Receipt {
	if err := t.Flags.Check(); err != nil {
		return storage.Receipt{Err: err}
	}
	c, err := c.with(t.Prefix)
	if err != nil {
		return storage.Receipt{Err: err}
	}
	m, err := s.target(t, c.body.Size())
	if err != nil {
		return storage.Receipt{Err: err}
	}
	uid := m.add(c, t.Flags, date)
	m.changed()
	return storage.Receipt{Mailbox: m.id, UIDValidity: m.validity, UID: uid}
}

// target finds or makes the mailbox of a delivery of so many octets.
func (s *Store) target(t *storage.Target, size int64) (*mailbox, error) {
	a, err := s.account(t.User)
	if err != nil {
		return nil, err
	}
	name := t.Mailbox
	if name == "" {
		name = storage.Inbox
	}
	m, err := a.find(name)
	if err != nil && !t.Create {
		return nil, err
	}
	strict := bounded
	if t.Over {
		strict = overQuota
	} else if err := a.room(m, storage.Quota{Bytes: size, Messages: 1}); err != nil {
		return nil, err
	}
	if m != nil {
		return m, nil
	}
	return a.create(name, storage.NewMailbox{}, subscribed, strict)
}

// ready is what every method asks first, with the lock held.
func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return storage.ErrClosed
	}
	return ctx.Err()
}

// content is what a message holds. It never changes.
type content struct {
	body  message.Body
	index *message.Part
}

// read copies a body. It runs without the store's lock.
func read(b message.Body, index *message.Part) (content, error) {
	if b == nil {
		b = message.FromBytes(nil)
	}
	data := make([]byte, b.Size())
	if _, err := io.ReadFull(message.NewReader(b), data); err != nil {
		return content{}, fmt.Errorf("reading the message: %w", err)
	}
	c := content{message.FromBytes(data), index}
	if index == nil {
		var err error
		if c.index, err = message.Parse(c.body, message.Limits{}); err != nil {
			return content{}, err
		}
	}
	return c, nil
}
