package storage

import (
	"context"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"
)

// RetainedID names an expunged message that is kept for a while.
type RetainedID uint64

// Retained is a message that was expunged, alone or with its mailbox, and can
// be given back.
type Retained struct {
	ID       RetainedID
	Mailbox  string // the name of its mailbox then
	Expunged time.Time
	Until    time.Time // when it is gone for good
	Message            // as it was, with the UID and ModSeq that it had
}

// Retainer is an optional power of an Account whose domain's Settings have a
// Retention. What is retained counts for no quota.
type Retainer interface {
	// Retained yields what can be restored, the longest expunged first. An
	// error comes with a zero Retained and is the last that is yielded.
	Retained(ctx context.Context) iter.Seq2[Retained, error]
	// Restore puts messages back as new ones, all or none, with their flags but
	// for \Deleted and with their dates: into the mailbox dest or, when dest is
	// empty, each into one of the name that its mailbox had. Mailboxes that are
	// missing are made. It returns how many it restored; those that are not
	// retained any more are passed over. ErrBadName, ErrOverQuota, ErrLimit.
	Restore(ctx context.Context, dest string, ids ...RetainedID) (int, error)
	// Discard removes retained messages for good, all when there are no ids.
	Discard(ctx context.Context, ids ...RetainedID) (int, error)
}

// Purge removes messages for good, or to where Retainer finds them, some time
// after they came into mailboxes of a special use.
type Purge struct {
	Attr imap.MailboxAttr // as \Trash and \Junk
	Age  time.Duration    // since a message was saved in that mailbox, see SaveDater; 0: never
}

// SaveDater is an optional power of a Mailbox: SaveDates yields when the
// messages of a set came into this mailbox (RFC 8514), in whole seconds, by
// ascending UID. UIDs that no message has are passed over.
type SaveDater interface {
	SaveDates(ctx context.Context, uids imap.UIDSet) iter.Seq2[SaveDate, error]
}

// SaveDate is when a message came into its mailbox. The zero Date is for
// messages of which that is not known.
type SaveDate struct {
	UID  imap.UID
	Date time.Time
}
