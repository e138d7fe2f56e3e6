package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

type account struct {
	store    *Store
	user     string
	gone     bool
	quota    *storage.Quota // nil: that of the domain
	boxes    map[string]*mailbox
	subs     map[string]bool
	validity map[string]uint32 // of names that no mailbox has now: the highest they had
	watchers map[*watcher]bool
	acl      storage.ACL
	notes    notes
	kept     []kept // in the order in which they were expunged
	lastKept storage.RetainedID
}

type watcher struct{ notify func(storage.Change) }

// interest says whether a mailbox is subscribed when it is made.
type interest int

const (
	unsubscribed interest = iota
	subscribed
)

// account finds or makes an account.
func (s *Store) account(user string) (*account, error) {
	if user == "" || len(user) > storage.MaxName {
		return nil, fmt.Errorf("%w: of an account", storage.ErrBadName)
	}
	if a := s.accounts[user]; a != nil {
		return a, nil
	}
	a := &account{
		store:    s,
		user:     user,
		boxes:    make(map[string]*mailbox),
		subs:     make(map[string]bool),
		validity: make(map[string]uint32),
		watchers: make(map[*watcher]bool),
	}
	for _, d := range storage.First(user, s.defaults) {
		if _, err := a.create(d.Name, storage.NewMailbox{Kind: d.Kind, Attrs: d.Attrs}, subscribed, overQuota); err != nil && !errors.Is(err, storage.ErrMailboxExists) {
			return nil, err
		}
	}
	s.accounts[user] = a
	return a, nil
}

func (a *account) ready(ctx context.Context) error {
	if err := a.store.ready(ctx); err != nil {
		return err
	}
	if a.gone {
		return storage.ErrNoMailbox
	}
	return nil
}

// Mailboxes lists the account.
func (a *account) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	var list []storage.MailboxInfo
	for name, m := range a.boxes {
		list = append(list, storage.MailboxInfo{Name: name, ID: m.id, Subscribed: a.subs[name], Kind: m.kind, Attrs: m.attrs})
	}
	for name := range a.subs {
		if a.boxes[name] == nil {
			list = append(list, storage.MailboxInfo{Name: name, Subscribed: true})
		}
	}
	slices.SortFunc(list, func(x, y storage.MailboxInfo) int {
		switch {
		case x.Name == storage.Inbox:
			return -1
		case y.Name == storage.Inbox:
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return list, nil
}

// Mailbox opens a mailbox.
func (a *account) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	m, err := a.find(name)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (a *account) find(name string) (*mailbox, error) {
	name, err := storage.CleanName(name)
	if m := a.boxes[name]; err == nil && m != nil {
		return m, nil
	}
	return nil, storage.ErrNoMailbox
}

// Create makes a mailbox.
func (a *account) Create(ctx context.Context, name string, n storage.NewMailbox) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	_, err := a.create(name, n, unsubscribed, bounded)
	return err
}

func (a *account) create(name string, n storage.NewMailbox, i interest, s strictness) (*mailbox, error) {
	name, err := storage.CleanName(name)
	if err != nil {
		return nil, err
	}
	if a.boxes[name] != nil {
		return nil, storage.ErrMailboxExists
	}
	kind, err := a.kindUnder(name, n.Kind)
	if err != nil {
		return nil, err
	}
	if s == bounded {
		if err := a.roomFor(name, "", 1); err != nil {
			return nil, err
		}
	}
	a.createParents(name, kind)
	m := a.insert(name, kind)
	m.attrs = slices.Clone(n.Attrs)
	if i == subscribed {
		a.subs[name] = true
	}
	a.notify(storage.Change{})
	return m, nil
}

// kindUnder returns the kind of a mailbox that comes to a name, which has to be
// that of the nearest mailbox above it.
func (a *account) kindUnder(name string, k storage.Kind) (storage.Kind, error) {
	return k.At(name, func(above string) (storage.Kind, error) {
		if m := a.boxes[above]; m != nil {
			return m.kind, nil
		}
		return 0, nil
	})
}

// createParents makes the mailboxes above a name that are missing.
func (a *account) createParents(name string, k storage.Kind) {
	for parent := range storage.Levels(name) {
		if parent != name && a.boxes[parent] == nil {
			a.insert(parent, k)
		}
	}
}

// insert makes a mailbox under a name that is free.
func (a *account) insert(name string, k storage.Kind) *mailbox {
	s := a.store
	s.lastMailbox++
	s.lastValidity++
	m := &mailbox{account: a, id: s.lastMailbox, kind: k, validity: s.lastValidity, next: 1, modSeq: 1, recent: 1, acl: a.inherited(name)}
	a.place(name, m)
	return m
}

// place puts a mailbox under a name. A name's UIDVALIDITY only grows, so a
// mailbox that comes to the name of a younger one gets a new one.
func (a *account) place(name string, m *mailbox) {
	if a.validity[name] > m.validity {
		a.store.lastValidity++
		m.validity = a.store.lastValidity
		m.changed()
	}
	delete(a.validity, name)
	a.boxes[name] = m
}

// leave takes a mailbox from its name.
func (a *account) leave(name string) *mailbox {
	m := a.boxes[name]
	a.validity[name] = m.validity
	delete(a.boxes, name)
	return m
}

// drop deletes a mailbox.
func (a *account) drop(name string) {
	a.boxes[name].retainAll()
	m := a.leave(name)
	m.gone, m.messages, m.tombs = true, nil, nil
	a.notify(storage.Change{Mailbox: m.id})
}

// Delete removes a mailbox.
func (a *account) Delete(ctx context.Context, name string) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	if _, err := a.find(name); err != nil {
		return err
	}
	name, _ = storage.CleanName(name)
	if name == storage.Inbox {
		return fmt.Errorf("%w: INBOX stays", storage.ErrBadName)
	}
	if len(a.below(name)) > 0 {
		return storage.ErrHasChildren
	}
	a.drop(name)
	a.notify(storage.Change{})
	return nil
}

// below returns the names of all children of a mailbox, sorted.
func (a *account) below(name string) []string {
	var names []string
	for _, n := range slices.Sorted(maps.Keys(a.boxes)) {
		if strings.HasPrefix(n, name+storage.Separator) {
			names = append(names, n)
		}
	}
	return names
}

// Rename moves a mailbox with its children.
func (a *account) Rename(ctx context.Context, from, to string) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	inbox, err := a.find(from)
	if err != nil {
		return err
	}
	from, _ = storage.CleanName(from)
	if to, err = storage.CleanName(to); err != nil {
		return err
	}
	if a.boxes[to] != nil {
		return storage.ErrMailboxExists
	}
	if from == storage.Inbox {
		if _, err := a.kindUnder(to, storage.Mail); err != nil {
			return err
		}
		if err := a.roomFor(to, "", 1); err != nil {
			return err
		}
		if err := (*mailbox)(nil).room(a.settings(), inbox.holds()); err != nil {
			return err
		}
		a.createParents(to, storage.Mail)
		a.insert(to, storage.Mail).takeAll(inbox)
	} else if err := a.rename(from, to); err != nil {
		return err
	}
	a.notify(storage.Change{})
	return nil
}

func (a *account) rename(from, to string) error {
	if strings.HasPrefix(to, from+storage.Separator) {
		return fmt.Errorf("%w: below itself", storage.ErrBadName)
	}
	names := append([]string{from}, a.below(from)...)
	for _, n := range names {
		if _, err := storage.CleanName(to + n[len(from):]); err != nil {
			return err
		}
	}
	kind := a.boxes[from].kind
	if _, err := a.kindUnder(to, kind); err != nil {
		return err
	}
	if err := a.roomFor(to, from, len(names)); err != nil {
		return err
	}
	a.createParents(to, kind)
	for _, n := range names {
		a.place(to+n[len(from):], a.leave(n))
	}
	return nil
}

// Subscribe adds a name to the list of subscriptions.
func (a *account) Subscribe(ctx context.Context, name string) error {
	return a.subscription(ctx, name, subscribed)
}

// Unsubscribe removes a name from the list of subscriptions.
func (a *account) Unsubscribe(ctx context.Context, name string) error {
	return a.subscription(ctx, name, unsubscribed)
}

func (a *account) subscription(ctx context.Context, name string, i interest) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.ready(ctx); err != nil {
		return err
	}
	name, err := storage.CleanName(name)
	if err != nil {
		return err
	}
	if a.subs[name] == (i == subscribed) {
		return nil
	}
	if i == subscribed {
		a.subs[name] = true
	} else {
		delete(a.subs, name)
	}
	a.notify(storage.Change{})
	return nil
}

// Watch calls notify after every change, under the store's lock: that is how
// stop can promise that no call comes after it.
func (a *account) Watch(notify func(storage.Change)) (stop func()) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	w := &watcher{notify}
	a.watchers[w] = true
	return func() {
		a.store.mu.Lock()
		defer a.store.mu.Unlock()
		delete(a.watchers, w)
	}
}

func (a *account) notify(c storage.Change) {
	for w := range a.watchers {
		w.notify(c)
	}
	for w := range a.store.watchers {
		w.notify(a.user, c)
	}
}
