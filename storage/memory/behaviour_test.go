package memory

import (
	"context"
	"iter"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// behaviour is how a store does what it is asked: as this package does it, but
// for what a mutation changed.
type behaviour struct {
	sync     func()          // makes everything durable
	unsynced map[string]bool // methods that return before what they did is durable
	early    bool            // what is not durable can be seen
	restart  func(*Store)    // what becomes of a store that is opened after a crash; nil: nothing

	deliver       func(*Store, context.Context, *storage.Delivery) ([]storage.Receipt, error)
	user          func(string) string
	removeAccount func(*Store, context.Context, string) error
	watchAll      func(*Store, func(string, storage.Change)) func()

	mailboxes func(*account, context.Context) ([]storage.MailboxInfo, error)
	mailbox   func(*account, context.Context, string) (storage.Mailbox, error)
	create    func(*account, context.Context, string, storage.NewMailbox) error
	rename    func(*account, context.Context, string, string) error
	delete    func(*account, context.Context, string) error
	subscribe func(*account, context.Context, string) error
	annotate  func(*account, context.Context, string, ...storage.Annotation) error
	notes     func(*account, context.Context, string, string) ([]storage.Annotation, error)
	watch     func(*account, func(storage.Change)) func()

	status     func(*mailbox, context.Context) (storage.Status, error)
	messages   func(*mailbox, context.Context, uint64) iter.Seq2[storage.Message, error]
	expunged   func(*mailbox, context.Context, uint64) (imap.UIDSet, error)
	open       func(*mailbox, context.Context, imap.UID) (message.OpenBody, error)
	index      func(*mailbox, context.Context, imap.UID) (*message.Part, error)
	append     func(*mailbox, context.Context, ...storage.NewMessage) ([]imap.UID, error)
	storeFlags func(*mailbox, context.Context, storage.FlagUpdate) ([]storage.Message, imap.UIDSet, error)
	expunge    func(*mailbox, context.Context, imap.UIDSet) (imap.UIDSet, error)
	copy       func(*mailbox, context.Context, imap.UIDSet, string) (storage.Copied, error)
	move       func(*mailbox, context.Context, imap.UIDSet, string) (storage.Copied, error)
	takeRecent func(*mailbox, context.Context) (imap.UID, error)
	candidates func(*mailbox, context.Context, string) (imap.UIDSet, error)
}

func good() *behaviour {
	return &behaviour{
		unsynced: make(map[string]bool),

		deliver:       (*Store).Deliver,
		user:          func(user string) string { return user },
		removeAccount: (*Store).RemoveAccount,
		watchAll:      (*Store).WatchAll,

		mailboxes: (*account).Mailboxes,
		mailbox:   (*account).Mailbox,
		create:    (*account).Create,
		rename:    (*account).Rename,
		delete:    (*account).Delete,
		subscribe: (*account).Subscribe,
		annotate:  (*account).Annotate,
		notes:     (*account).Annotations,
		watch:     (*account).Watch,

		status:     (*mailbox).Status,
		messages:   (*mailbox).Messages,
		expunged:   (*mailbox).Expunged,
		open:       (*mailbox).Open,
		index:      (*mailbox).Index,
		append:     (*mailbox).Append,
		storeFlags: (*mailbox).StoreFlags,
		expunge:    (*mailbox).Expunge,
		copy:       (*mailbox).Copy,
		move:       (*mailbox).Move,
		takeRecent: (*mailbox).TakeRecent,
		candidates: (*mailbox).TextCandidates,
	}
}

// disk is what a store would find after a crash.
type disk struct {
	mu      sync.RWMutex // held while a change is made and brought here, so that nobody sees it before
	saved   sync.Mutex
	durable *Store
}

// mutant is a store with a behaviour.
type mutant struct {
	*Store
	how  *behaviour
	disk *disk // nil: nobody will ask
}

type mutantAccount struct {
	*account
	x *mutant
}

type mutantBox struct {
	*mailbox
	x *mutant
}

// save brings everything to the disk.
func (x *mutant) save() {
	if x.disk != nil {
		x.disk.saved.Lock()
		defer x.disk.saved.Unlock()
		x.disk.durable = x.clone()
	}
}

// change makes a change and brings it to the disk, if it is to be there.
func change[T any](x *mutant, method string, f func() (T, error)) (T, error) {
	if x.disk == nil {
		return f()
	}
	if !x.how.early {
		x.disk.mu.Lock()
		defer x.disk.mu.Unlock()
	}
	v, err := f()
	if err == nil && !x.how.unsynced[method] {
		x.save()
	}
	return v, err
}

// changeOf is change of a method that returns but an error.
func changeOf(x *mutant, method string, f func() error) error {
	_, err := change(x, method, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// look keeps changes that are not durable from being seen.
func (x *mutant) look() (done func()) {
	if x.disk == nil || x.how.early {
		return func() {}
	}
	x.disk.mu.RLock()
	return x.disk.mu.RUnlock
}

func (x *mutant) Deliver(ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
	return change(x, "Deliver", func() ([]storage.Receipt, error) { return x.how.deliver(x.Store, ctx, d) })
}

func (x *mutant) Account(ctx context.Context, user string) (storage.Account, error) {
	return change(x, "Account", func() (storage.Account, error) {
		a, err := x.Store.Account(ctx, x.how.user(user))
		if err != nil {
			return nil, err
		}
		return &mutantAccount{a.(*account), x}, nil
	})
}

func (x *mutant) RemoveAccount(ctx context.Context, user string) error {
	return changeOf(x, "RemoveAccount", func() error { return x.how.removeAccount(x.Store, ctx, user) })
}

func (x *mutant) WatchAll(notify func(string, storage.Change)) (stop func()) {
	return x.how.watchAll(x.Store, notify)
}

func (a *mutantAccount) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	defer a.x.look()()
	return a.x.how.mailboxes(a.account, ctx)
}

func (a *mutantAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.x.how.mailbox(a.account, ctx, name)
	if err != nil {
		return nil, err
	}
	return &mutantBox{m.(*mailbox), a.x}, nil
}

func (a *mutantAccount) Create(ctx context.Context, name string, n storage.NewMailbox) error {
	return changeOf(a.x, "Create", func() error { return a.x.how.create(a.account, ctx, name, n) })
}

func (a *mutantAccount) Rename(ctx context.Context, from, to string) error {
	return changeOf(a.x, "Rename", func() error { return a.x.how.rename(a.account, ctx, from, to) })
}

func (a *mutantAccount) Delete(ctx context.Context, name string) error {
	return changeOf(a.x, "Delete", func() error { return a.x.how.delete(a.account, ctx, name) })
}

func (a *mutantAccount) Subscribe(ctx context.Context, name string) error {
	return changeOf(a.x, "Subscribe", func() error { return a.x.how.subscribe(a.account, ctx, name) })
}

func (a *mutantAccount) Unsubscribe(ctx context.Context, name string) error {
	return changeOf(a.x, "Unsubscribe", func() error { return a.account.Unsubscribe(ctx, name) })
}

func (a *mutantAccount) Annotate(ctx context.Context, mailbox string, set ...storage.Annotation) error {
	return changeOf(a.x, "Annotate", func() error { return a.x.how.annotate(a.account, ctx, mailbox, set...) })
}

func (a *mutantAccount) Annotations(ctx context.Context, mailbox, user string) ([]storage.Annotation, error) {
	defer a.x.look()()
	return a.x.how.notes(a.account, ctx, mailbox, user)
}

func (a *mutantAccount) Watch(notify func(storage.Change)) (stop func()) {
	return a.x.how.watch(a.account, notify)
}

func (m *mutantBox) Status(ctx context.Context) (storage.Status, error) {
	defer m.x.look()()
	return m.x.how.status(m.mailbox, ctx)
}

func (m *mutantBox) Messages(ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
	return func(yield func(storage.Message, error) bool) {
		next, stop := iter.Pull2(m.x.how.messages(m.mailbox, ctx, since))
		defer stop()
		for {
			done := m.x.look()
			msg, err, ok := next()
			done()
			if !ok || !yield(msg, err) {
				return
			}
		}
	}
}

func (m *mutantBox) Expunged(ctx context.Context, since uint64) (imap.UIDSet, error) {
	return m.x.how.expunged(m.mailbox, ctx, since)
}

func (m *mutantBox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	return m.x.how.open(m.mailbox, ctx, uid)
}

func (m *mutantBox) Index(ctx context.Context, uid imap.UID) (*message.Part, error) {
	return m.x.how.index(m.mailbox, ctx, uid)
}

func (m *mutantBox) Append(ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
	return change(m.x, "Append", func() ([]imap.UID, error) { return m.x.how.append(m.mailbox, ctx, msgs...) })
}

func (m *mutantBox) StoreFlags(ctx context.Context, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
	changed, err = change(m.x, "StoreFlags", func() (changed []storage.Message, err error) {
		changed, failed, err = m.x.how.storeFlags(m.mailbox, ctx, u)
		return changed, err
	})
	return changed, failed, err
}

func (m *mutantBox) Expunge(ctx context.Context, set imap.UIDSet) (imap.UIDSet, error) {
	return change(m.x, "Expunge", func() (imap.UIDSet, error) { return m.x.how.expunge(m.mailbox, ctx, set) })
}

func (m *mutantBox) Copy(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	return change(m.x, "Copy", func() (storage.Copied, error) { return m.x.how.copy(m.mailbox, ctx, set, dest) })
}

func (m *mutantBox) Move(ctx context.Context, set imap.UIDSet, dest string) (storage.Copied, error) {
	return change(m.x, "Move", func() (storage.Copied, error) { return m.x.how.move(m.mailbox, ctx, set, dest) })
}

func (m *mutantBox) TakeRecent(ctx context.Context) (imap.UID, error) {
	return m.x.how.takeRecent(m.mailbox, ctx)
}

func (m *mutantBox) TextCandidates(ctx context.Context, text string) (imap.UIDSet, error) {
	return m.x.how.candidates(m.mailbox, ctx, text)
}
