package imap

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/local"
)

// Goals for a mailbox of a million messages.
const (
	million  = 1_000_000
	warmGoal = 20 * time.Millisecond
	coldGoal = time.Second
)

// BenchmarkSelectOfAMillion selects a mailbox of a million messages: when the
// server has it in memory, and when neither the server nor the store has read
// anything of it since they began.
func BenchmarkSelectOfAMillion(b *testing.B) {
	parent, err := os.MkdirTemp(".", "bench") // beside the sources, since /tmp may be memory
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(parent) })
	dir := filepath.Join(parent, "store")
	store := openLocal(b, dir)
	multiply(b, store, million)
	require.NoError(b, store.Close())

	b.Run("warm", func(b *testing.B) {
		store := openLocal(b, dir)
		defer store.Close()
		c := login(b, start(b, quietServer(store)))
		require.Contains(b, c.ok("SELECT INBOX"), "* 1000000 EXISTS\r\n")
		for b.Loop() {
			c.ok("SELECT INBOX")
		}
		b.ReportMetric(perRun(b)/float64(warmGoal), "ratio-to-20ms")
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			store := openLocal(b, dir)
			c := login(b, start(b, quietServer(store)))
			b.StartTimer()
			c.ok("SELECT INBOX")
			b.StopTimer()
			c.ok("LOGOUT")
			store.Close()
			b.StartTimer()
		}
		b.ReportMetric(perRun(b)/float64(coldGoal), "ratio-to-1s")
	})
}

func openLocal(b *testing.B, dir string) *local.Store {
	b.Helper()
	s, err := local.Open(dir, local.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	return s
}

// multiply makes alice's INBOX one of n messages with 200 octets of header,
// most of which have been seen, by copying one over and over.
func multiply(b *testing.B, store storage.Store, n int) {
	b.Helper()
	account, err := store.Account(b.Context(), "alice")
	require.NoError(b, err)
	box, err := account.Mailbox(b.Context(), storage.Inbox)
	require.NoError(b, err)
	text := "Subject: " + strings.Repeat("x", 185) + "\r\n\r\nx\r\n"
	_, err = box.Append(b.Context(), storage.NewMessage{Body: message.FromBytes([]byte(text)), Date: received, Flags: storage.NewFlags(imap.FlagSeen)})
	require.NoError(b, err)
	for have := 1; have < n; {
		more := min(have, n-have, 50_000)
		_, err := box.Copy(b.Context(), imap.UIDSet{{Start: 1, Stop: imap.UID(more)}}, storage.Inbox)
		require.NoError(b, err)
		have += more
	}
}
