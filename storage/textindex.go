package storage

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// TextIndex is an optional power of a Mailbox: an index of the words of its
// messages, that saves a search from reading all of them.
type TextIndex interface {
	// TextCandidates returns UIDs among which are those of all messages whose
	// header or text, decoded as package message does it, holds text in any
	// letter case; also of messages that came just before. There may be others
	// among them, down to all of the mailbox when text is too short to tell: the
	// caller looks at each. It may take as long as reading what is not indexed
	// yet.
	TextCandidates(ctx context.Context, text string) (imap.UIDSet, error)
}
