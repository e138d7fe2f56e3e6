package storage

import (
	"context"
	"iter"

	"github.com/emersion/go-imap/v2"
)

// ObjectID names a message's content (RFC 8474).
type ObjectID struct {
	UID imap.UID
	// Email is the same for all messages of the account with the same content
	// that came of one delivery, append or copy, and never that of other
	// content: 1 to 255 letters, digits, "-" and "_". It stays when a message is
	// copied or moved within the account.
	Email string
	// Thread is the same for all messages of a conversation; empty: not known.
	Thread string
}

// ObjectIDs is an optional power of a Mailbox: ObjectIDs yields those of the
// messages of a set, by ascending UID. UIDs that no message has are passed
// over. An error comes with a zero ObjectID and is the last that is yielded.
type ObjectIDs interface {
	ObjectIDs(ctx context.Context, uids imap.UIDSet) iter.Seq2[ObjectID, error]
}
