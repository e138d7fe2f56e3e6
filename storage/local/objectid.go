package local

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"iter"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// ObjectIDs yields the names of contents. A body has the same blob id for ever,
// through compaction and every copy, so nothing more is kept for them.
func (m *mailbox) ObjectIDs(ctx context.Context, set imap.UIDSet) iter.Seq2[storage.ObjectID, error] {
	return walkRecords(ctx, m, set, func(rec *record) storage.ObjectID {
		return storage.ObjectID{UID: uidOf(rec.listed), Email: rec.email(m.account.id)}
	})
}

// email names the content of a message: where its octets were first written,
// and its prefix. It is a digest, so that nobody learns from it how much mail
// others have, or that they were sent the same. What has no body is told apart
// by its date as well, which no two messages of one name may differ in. What
// came from another store keeps the name that it had there.
func (m *record) email(a accountID) string {
	if m.named != "" {
		return m.named
	}
	b := make([]byte, 0, 64)
	for _, n := range [...]uint64{uint64(a), uint64(m.blob), uint64(m.offset), uint64(m.size), uint64(m.date)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(append(b, m.prefix...))
	return "M" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:emailOctets]))
}

// emailOctets is how much of the digest is used: two contents never share it.
const emailOctets = 16
