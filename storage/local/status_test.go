package local

import (
	"context"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// TestMessagesHaveWhatStatusTold proves that who asks for the ModSeq first and
// for what changed then misses nothing, however close a change is.
func TestMessagesHaveWhatStatusTold(t *testing.T) {
	ctx := context.Background()
	box := inbox(t, open(t, t.TempDir(), Options{}), "alice") // on a disk, where commits take a while
	_, err := box.Append(ctx, storage.NewMessage{Body: text(500)})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		for i := range 1000 {
			op := []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[i%2]
			_, _, err := box.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(1), Op: op, Flags: storage.NewFlags(imap.FlagSeen)})
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		st, err := box.Status(ctx)
		require.NoError(t, err)
		for m, err := range box.Messages(ctx, 0) {
			require.NoError(t, err)
			require.GreaterOrEqual(t, m.ModSeq, st.HighestModSeq)
		}
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		default:
		}
	}
}
