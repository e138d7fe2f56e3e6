// Package storage says what a mail store is: accounts that hold mailboxes
// that hold messages. Implementations live in the packages below it;
// storagetest checks that one keeps the promises written here.
//
// Promises of every Store:
//
//   - What a method acknowledged is durable: it survives kill -9 and power
//     loss, whole. What it did not acknowledge may or may not have happened,
//     but never in part.
//   - Data is durable before anything that points to it is visible.
//   - UIDs of a mailbox only grow and are never given twice under one
//     UIDVALIDITY; UIDVALIDITY of a name only grows.
//   - Every change of a mailbox raises its ModSeq; expunged UIDs can be asked
//     for by ModSeq (tombstones).
//   - Memory is bounded whatever the size of a message or a mailbox.
//   - Methods are safe for concurrent use and honour their context before
//     they begin to change anything.
//
// Sets of UIDs may hold '*', which is the highest UID of the mailbox at that
// moment, and UIDs that no message has, which are passed over. What a set
// costs depends on the messages that are there, not on the numbers it spans.
//
// Optional powers of a Store, Account or Mailbox are found by [As], which
// follows Unwrap through wrappers.
package storage

import (
	"context"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// Store keeps the mail of many accounts.
type Store interface {
	// Deliver stores one message in many mailboxes, each in its own account.
	// It returns a receipt per target, in order; a receipt with an error was
	// not stored, the others are durable. A non-nil error means that nothing
	// was stored. Accounts are made on first use; the mailboxes that a target
	// makes are subscribed.
	Deliver(ctx context.Context, d *Delivery) ([]Receipt, error)

	// Account returns the account of a user, by the name that authentication
	// or the directory gave it, octet for octet. It makes the account, with
	// INBOX and the store's default mailboxes, all subscribed, when it does not
	// exist; one that PublicAccount names begins without any mailbox, INBOX
	// included. ErrBadName when the name is empty or longer than MaxName.
	Account(ctx context.Context, user string) (Account, error)
}

// Delivery is one message on its way into mailboxes.
type Delivery struct {
	Body    message.Body
	Index   *message.Part // of Body; nil: the store makes it
	Date    time.Time     // becomes INTERNALDATE, see Message; zero means now
	Targets []Target
}

// Target is one mailbox of a delivery.
type Target struct {
	User    string
	Mailbox string // a name; empty means INBOX
	Create  bool   // make the mailbox when it is missing
	Over    bool   // store it over all quotas, as the notice that they are nearly used up
	Flags   Flags
	Prefix  []byte // whole header fields that stand before Body in this mailbox only (Return-Path, Received, …), with CRLF
}

// Receipt tells where a message was stored, or why not.
type Receipt struct {
	Mailbox     MailboxID
	UIDValidity uint32
	UID         imap.UID
	Err         error // nil when stored; ErrNoMailbox, ErrOverQuota, …
}

// MailboxID names a mailbox of a store, whoever's it is, for ever and through
// renames. It is never reused.
type MailboxID uint64

// Account is one user's tree of mailboxes. Names are UTF-8, hierarchy levels
// are separated by Separator, "INBOX" is one name in any letter case, and
// names that [CleanName] makes equal are one name. Parents always exist: a
// mailbox is made with them and can't be deleted before its children. It
// stays valid until the account is removed; after that, its methods return
// ErrNoMailbox.
type Account interface {
	// Mailboxes returns all mailboxes of the account and names that are only
	// subscribed, INBOX first, then sorted by the octets of the name.
	Mailboxes(ctx context.Context) ([]MailboxInfo, error)
	// Mailbox opens a mailbox by name. ErrNoMailbox when there is none.
	Mailbox(ctx context.Context, name string) (Mailbox, error)
	// Create makes a mailbox. Missing parents are made too, as RFC 9051
	// §6.3.4 says, of the same kind and without attributes. It subscribes
	// nothing. ErrMailboxExists, ErrBadName, ErrBadKind, ErrOverQuota, ErrLimit.
	Create(ctx context.Context, name string, m NewMailbox) error
	// Rename moves a mailbox and all its children, which keep their IDs,
	// messages and UIDs; missing parents of the new name are made. Renaming
	// INBOX moves its messages to a new mailbox and leaves INBOX, with its
	// children, empty (RFC 9051 §6.3.6). Subscriptions are of names and stay.
	// ErrNoMailbox, ErrMailboxExists when to exists, ErrBadName, also for a
	// mailbox that would become its own child, ErrBadKind when it would come
	// below one of another kind, ErrOverQuota, ErrLimit.
	Rename(ctx context.Context, from, to string) error
	// Delete removes a mailbox and its messages. ErrHasChildren when it has
	// children, ErrNoMailbox, ErrBadName for INBOX.
	Delete(ctx context.Context, name string) error
	// Subscribe and Unsubscribe keep the list of subscribed names, which need
	// not exist as mailboxes (RFC 9051 §6.3.7). Doing it twice is no error.
	// ErrBadName, ErrLimit.
	Subscribe(ctx context.Context, name string) error
	Unsubscribe(ctx context.Context, name string) error
	// Watch calls notify after every committed change in the account until
	// stop is called; after stop has returned it is not called again. Changes
	// are told in the order in which they were committed, those of a mailbox by
	// ascending ModSeq and its deletion last, one call at a time; those of one commit, such as the two
	// mailboxes of a Move, in any order. notify must return at once and must not
	// call the store. It is told that something changed, not what: the
	// subscriber asks the mailbox since the ModSeq that it knows, so a slow one
	// costs nothing and misses nothing. A [Feed] keeps changes for one that
	// can't take them at once.
	Watch(notify func(Change)) (stop func())
}

// Separator stands between the levels of a mailbox name.
const Separator = "/"

// Change is a note that a mailbox, or the list of mailboxes, changed. When a
// mailbox is deleted both are told: the list, and the mailbox with ModSeq 0.
type Change struct {
	Mailbox MailboxID // 0: the list of mailboxes or subscriptions
	ModSeq  uint64    // of the mailbox after the change
}

// UserChange is a change with the account that it is in.
type UserChange struct {
	User string // as in Store.Account
	Change
}

// MailboxInfo is one line of an account's list.
type MailboxInfo struct {
	Name       string
	ID         MailboxID // 0: the name is only subscribed, there is no mailbox
	Subscribed bool
	Kind       Kind               // 0: there is no mailbox
	Attrs      []imap.MailboxAttr // special use (RFC 6154)
}

// Mailbox is an open mailbox. It stays valid until the mailbox is deleted;
// after that its methods return ErrNoMailbox.
type Mailbox interface {
	ID() MailboxID
	// Kind returns what the mailbox is for.
	Kind() Kind
	// Status returns the counters of the mailbox at one moment.
	Status(ctx context.Context) (Status, error)
	// Messages yields the messages of the mailbox by ascending UID, those
	// with a ModSeq above since; 0 yields all. They are those of one moment,
	// when the iteration began, and nothing waits for who consumes them. An
	// error comes with a zero Message and is the last that is yielded.
	Messages(ctx context.Context, since uint64) iter.Seq2[Message, error]
	// Expunged returns the UIDs expunged after the ModSeq since. ErrResync
	// when tombstones that old are gone; a store keeps those of at least the
	// last 1,000 changes that expunged something.
	Expunged(ctx context.Context, since uint64) (imap.UIDSet, error)
	// Open returns a message's content, prefix and body joined.
	// ErrNoMessage when it is expunged.
	Open(ctx context.Context, uid imap.UID) (message.OpenBody, error)
	// Index returns a message's part index, with offsets that fit Open.
	Index(ctx context.Context, uid imap.UID) (*message.Part, error)
	// Append stores messages, all or none, in order (RFC 9051 §6.3.12,
	// RFC 3502). It returns their UIDs. ErrLimit when the store can't make so
	// much one change, or when flags are more than it keeps. ErrOverQuota.
	Append(ctx context.Context, msgs ...NewMessage) ([]imap.UID, error)
	// StoreFlags changes the flags of the messages of u.UIDs that exist, as
	// one durable change, and returns those it changed, with their new state.
	// Messages whose ModSeq is above u.UnchangedSince (when not 0) are left
	// alone and returned in failed (RFC 7162 §3.1.3). A message that has the
	// flags already is not changed: it keeps its ModSeq and is not returned.
	// ErrLimit when flags are more than the store keeps.
	StoreFlags(ctx context.Context, u FlagUpdate) (changed []Message, failed imap.UIDSet, err error)
	// Expunge removes the messages of uids for good, flagged or not, and
	// returns those that it removed. The caller picks those with \Deleted.
	Expunge(ctx context.Context, uids imap.UIDSet) (imap.UIDSet, error)
	// Copy copies messages to another mailbox of the account, all or none,
	// with their flags and dates, in the order of their UIDs. dest may be this
	// mailbox. Missing UIDs are skipped; when none is left nothing changes and
	// only UIDValidity is returned. ErrNoMailbox is about dest, or about this
	// mailbox when it is gone. ErrOverQuota.
	Copy(ctx context.Context, uids imap.UIDSet, dest string) (Copied, error)
	// Move is Copy and Expunge as one change (RFC 6851). It needs room in the
	// quota of dest alone.
	Move(ctx context.Context, uids imap.UIDSet, dest string) (Copied, error)
}

// Status holds the counters of a mailbox (RFC 9051 §6.3.11).
type Status struct {
	UIDValidity   uint32
	UIDNext       imap.UID
	HighestModSeq uint64
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	Recent        uint32 // messages that no session was told of yet, see Recenter
	Size          int64  // octets of all messages
}

// Message is what the index knows of a message without reading it. Date has
// whole seconds and the zone, in whole minutes, that the message was given.
type Message struct {
	UID    imap.UID
	ModSeq uint64
	Flags  Flags
	Date   time.Time // INTERNALDATE
	Size   int64     // RFC822.SIZE, octets with the prefix
}

// NewMessage is a message to append. The zero Date means now.
type NewMessage struct {
	Body  message.Body
	Index *message.Part // of Body; nil: the store makes it
	Flags Flags
	Date  time.Time
}

// FlagUpdate says how to change the flags of which messages.
type FlagUpdate struct {
	UIDs           imap.UIDSet
	Op             imap.StoreFlagsOp // set, add or remove
	Flags          Flags
	UnchangedSince uint64 // 0: unconditional
}

// Copied is the COPYUID of a copy or move (RFC 4315): Source[i] became Dest[i],
// both ascending.
type Copied struct {
	UIDValidity  uint32
	Source, Dest []imap.UID
}

// Recenter is an optional power of a Mailbox: IMAP4rev1's \Recent. TakeRecent
// returns the first UID that no session has been told of and marks all up to
// now as told; a mailbox without this power has no recent messages. Of two
// callers only one is given a message as recent. That a message was told of is
// no durable promise: after a crash it may be recent again.
type Recenter interface {
	TakeRecent(ctx context.Context) (first imap.UID, err error)
}

// Remover is an optional power of a Store: RemoveAccount deletes an account
// and all its mail. A missing account is no error. A new account of the same
// name has nothing of the old one.
type Remover interface {
	RemoveAccount(ctx context.Context, user string) error
}

// Watcher is an optional power of a Store: WatchAll tells of the changes of all
// accounts, with the promises of Account.Watch for the whole store. The making
// of an account is a change of its list, and so is its removal. user is the
// name that the account was made with, octet for octet.
type Watcher interface {
	WatchAll(notify func(user string, c Change)) (stop func())
}
