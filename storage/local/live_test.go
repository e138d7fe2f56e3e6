package local

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// twiceTo names n users, all of them and then all again.
func twiceTo(n int) (targets []storage.Target) {
	for i := range 2 * n {
		targets = append(targets, storage.Target{User: fmt.Sprintf("user%d", i%n)})
	}
	return targets
}

func TestWhatIsPendingIsNotForgotten(t *testing.T) {
	s := open(t, "data", Options{FS: vfs.NewMem(), States: 2})
	const users = 50
	for round := range imap.UID(3) {
		receipts, err := s.Deliver(t.Context(), &storage.Delivery{Body: message.FromBytes([]byte("Subject: x\r\n\r\n")), Targets: twiceTo(users)})
		require.NoError(t, err)
		for i, r := range receipts {
			require.NoError(t, r.Err)
			require.Equal(t, 2*round+1+imap.UID(i/users), r.UID, "the second of a user is built on the first")
		}
	}
}

func TestKnownMailboxesAreBounded(t *testing.T) {
	s := open(t, "data", Options{FS: vfs.NewMem(), States: 10})
	for i := range 100 {
		a, err := s.Account(t.Context(), fmt.Sprintf("user%d", i))
		require.NoError(t, err)
		m, err := a.Mailbox(t.Context(), "INBOX")
		require.NoError(t, err)
		for range 3 { // changes that come to nothing count, too
			_, _, err = m.StoreFlags(t.Context(), storage.FlagUpdate{UIDs: imap.UIDSet{{Start: 1}}, Op: imap.StoreFlagsAdd})
			require.NoError(t, err)
		}
		require.Less(t, len(s.lives.young)+len(s.lives.old), 10+2*(1+len(s.options.Mailboxes)))
	}
}

func TestTailsAreBounded(t *testing.T) {
	var ts tails
	busy := &live{}
	for i := range 3 * maxTails {
		ts.keep(busy, *newChunk(0), 1)
		ts.keep(&live{}, *newChunk(0), uint64(i))
	}
	require.Len(t, ts.of, maxTails)
	require.Contains(t, ts.of, busy, "who gets much mail stays")
	require.NotNil(t, busy.tail.rows)
	for _, l := range ts.of {
		require.NotNil(t, l.tail.rows)
	}
}
