package local

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// tracedTarget has a prefix as a mail flow makes it: a field of its own, and
// trace headers that all targets have.
func tracedTarget(i int) storage.Target {
	user := benchUser(i)
	return storage.Target{User: user, Prefix: []byte("Delivered-To: " + user + "\r\n" + trace)}
}

// A message for many is one record with one body and one sync; each mailbox
// adds what its prefix alone has, a record and a state.
func TestBodyForAThousandMailboxesIsWrittenOnce(t *testing.T) {
	s := open(t, "data", Options{FS: vfs.NewMem()})
	body, targets := text(50<<10), make([]storage.Target, 1000)
	for i := range targets {
		targets[i] = tracedTarget(i)
	}
	for range 2 { // the first makes the accounts
		before := s.e.Stats()
		receipts, err := s.Deliver(t.Context(), &storage.Delivery{Body: body, Targets: targets})
		require.NoError(t, err)
		for _, r := range receipts {
			require.NoError(t, r.Err)
		}
		after := s.e.Stats()
		require.EqualValues(t, 1, after.Changes-before.Changes)
		require.EqualValues(t, 1, after.Syncs-before.Syncs)
		if before.Changes > 0 {
			const each = 120 // octets of a mailbox
			require.Less(t, after.Written-before.Written, uint64(body.Size()+1<<10+each*int64(len(targets))))
		}
	}
}
