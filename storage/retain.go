package storage

import (
	"context"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// RetainedID names an expunged message that is kept for a while. It is never
// given to another message of the account.
type RetainedID uint64

// Retained is a message that was expunged, alone or with its mailbox, and can
// be given back. Its times have whole seconds.
type Retained struct {
	ID       RetainedID
	Mailbox  string // the name of its mailbox then
	Kind     Kind   // of that mailbox
	Expunged time.Time
	Until    time.Time // when it is gone for good: a change of Settings.Retention is for what is expunged after it
	Message            // as it was, with the UID and ModSeq that it had
}

// Retainer is an optional power of an Account: what Expunge removes, or Delete
// with its mailbox, while the domain's Settings have a Retention, can be given
// back until its time is over. Moving a message is no expunge. What is retained
// counts for no quota and in no Status; it goes with its account. ErrNoMailbox
// when the account was removed.
type Retainer interface {
	// Retained yields what can be restored, the longest expunged first. An
	// error comes with a zero Retained and is the last that is yielded.
	Retained(ctx context.Context) iter.Seq2[Retained, error]
	// OpenRetained returns a retained message's content. ErrNoMessage.
	OpenRetained(ctx context.Context, id RetainedID) (message.OpenBody, error)
	// Restore puts messages back as new ones, all or none, in the order in which
	// they were expunged, with their flags but for \Deleted and with their
	// dates: into the mailbox dest or, when dest is empty, each into one of the
	// name that its mailbox had. Mailboxes that are missing are made and
	// subscribed, of the kind that the message's had, or dest of the kind of
	// its parent. It returns how many it restored: those that are not retained
	// any more are passed over. ErrBadName, ErrBadKind, ErrOverQuota, ErrLimit.
	Restore(ctx context.Context, dest string, ids ...RetainedID) (int, error)
	// Discard removes retained messages for good and returns how many there
	// were. ErrLimit when they are too many for one change.
	Discard(ctx context.Context, ids ...RetainedID) (int, error)
}

// Purge says that messages are expunged some time after they came into
// mailboxes of a special use. Like all that is expunged they are retained when
// there is a Retention.
type Purge struct {
	Attr imap.MailboxAttr // as \Trash and \Junk
	Age  time.Duration    // since a message was saved in that mailbox, see SaveDater; 0: never
}

// Purger is an optional power of a Store: Purge does at once what the Settings
// ask for by age, and returns how many messages it expunged. A store may do
// that on its own now and then, and says so. Messages without a save date stay.
type Purger interface {
	Purge(ctx context.Context) (int, error)
}

// SaveDater is an optional power of a Mailbox: SaveDates yields when the
// messages of a set came into this mailbox (RFC 8514), in whole seconds, by
// ascending UID. UIDs that no message has are passed over. An error comes with
// a zero SaveDate and is the last that is yielded.
type SaveDater interface {
	SaveDates(ctx context.Context, uids imap.UIDSet) iter.Seq2[SaveDate, error]
}

// SaveDate is when a message came into its mailbox. The zero Date is for
// messages of which that is not known.
type SaveDate struct {
	UID  imap.UID
	Date time.Time
}
