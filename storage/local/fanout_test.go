package local

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// A message for many is one record with one body and one sync; each mailbox
// adds its prefix, a record and a state.
func TestBodyForAThousandMailboxesIsWrittenOnce(t *testing.T) {
	s := open(t, "data", Options{FS: vfs.NewMem()})
	body, targets := text(50<<10), make([]storage.Target, 1000)
	for i := range targets {
		targets[i] = storage.Target{User: fmt.Sprintf("user%d@example.test", i), Prefix: []byte(trace)}
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
			const each = 100 // octets of a mailbox, besides the prefix
			require.Less(t, after.Written-before.Written, uint64(body.Size()+1<<10+1000*(int64(len(trace))+each)))
		}
	}
}
