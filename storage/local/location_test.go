package local

import (
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// TestMessagesStandInSeveralLocations fills one location and then another, and
// reads everything whichever it stands in.
func TestMessagesStandInSeveralLocations(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs)
	o.Locations = []Location{{Path: "first", Limit: 40_000}, {Path: "second", Limit: 60_000}}
	for _, l := range o.Locations {
		require.NoError(t, fs.MkdirAll(l.Path, 0o700))
	}
	s := open(t, "store", o)
	deliver := func() error {
		r, err := s.Deliver(t.Context(), &storage.Delivery{Body: text(5000), Targets: []storage.Target{{User: "alice"}}})
		if err == nil {
			err = r[0].Err
		}
		return err
	}
	n := 0
	for ; ; n++ {
		if err := deliver(); err != nil {
			require.ErrorIs(t, err, engine.ErrNoSpace)
			break
		}
	}
	require.InDelta(t, 100_000/5000, n, 3)
	for _, l := range s.Engine().Stats().Locations[:2] {
		require.Greater(t, l.Used, l.Limit*8/10)
	}
	m := inbox(t, s, "alice")
	changed, _, err := m.StoreFlags(t.Context(), storage.FlagUpdate{UIDs: imap.UIDSet{{Start: 1, Stop: 0}}, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen)})
	require.NoError(t, err, "flags still can be changed")
	require.Len(t, changed, n)
	require.NoError(t, s.Close())
	s = open(t, "store", o)
	want, err := io.ReadAll(message.NewReader(text(5000)))
	require.NoError(t, err)
	for i := range n {
		require.Equal(t, string(want), contentOf(t, inbox(t, s, "alice"), imap.UID(i+1)))
	}
}
