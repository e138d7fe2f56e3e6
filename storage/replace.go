package storage

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// Replacer is an optional power of a Mailbox: Replace appends a message and
// expunges another of the same mailbox as one change (RFC 8508), and returns
// the new one's UID. The old one is retained as what Expunge removes is. In the
// quota it needs room for what the new one is larger than the old one.
// ErrNoMessage when the old one is gone; then nothing changes. Else it fails as
// Append does.
type Replacer interface {
	Replace(ctx context.Context, old imap.UID, m NewMessage) (imap.UID, error)
}
