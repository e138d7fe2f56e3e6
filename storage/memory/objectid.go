package memory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// ObjectIDs yields the names of contents: digests of them, with the date, which
// no two messages of one name may differ in.
func (m *mailbox) ObjectIDs(ctx context.Context, set imap.UIDSet) iter.Seq2[storage.ObjectID, error] {
	return walk(ctx, m, set, func(msg *stored) storage.ObjectID {
		return storage.ObjectID{UID: msg.UID, Email: msg.email()}
	})
}

func (s *stored) email() string {
	h := sha256.New()
	_, zone := s.Date.Zone()
	fmt.Fprintln(h, s.Date.Unix(), zone)
	_, _ = io.Copy(h, message.NewReader(s.body)) // which is in memory
	return "M" + hex.EncodeToString(h.Sum(nil)[:16])
}
