package local

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// text makes a message of about size octets with a usual header.
func text(size int) message.Body {
	var b strings.Builder
	b.WriteString("From: Alice Liddell <alice@example.test>\r\nTo: Bob <bob@example.test>\r\nSubject: =?utf-8?q?Caf=C3=A9?= at noon\r\n" +
		"Date: Tue, 3 Feb 2026 12:00:00 +0100\r\nMessage-ID: <20260203.1@example.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	for b.Len() < size {
		b.WriteString("All work and no play makes Jack a dull boy; he reads his mail instead.\r\n")
	}
	return message.FromBytes([]byte(b.String()[:size]))
}

const trace = "Return-Path: <alice@example.test>\r\nDelivered-To: bob@example.test\r\nReceived: from mx.example.test (mx.example.test [192.0.2.1])\r\n\tby mail.example.test with ESMTPS id 1a2b3c;\r\n\tTue, 3 Feb 2026 12:00:01 +0100\r\n"

func benchStore(b *testing.B) (*Store, string) {
	b.Helper()
	dir, err := os.MkdirTemp(".", "bench") // beside the sources, since /tmp may be memory
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	return open(b, filepath.Join(dir, "store"), Options{Logger: slog.New(slog.DiscardHandler)}), dir
}

// BenchmarkDeliver delivers into 64 mailboxes, or all into one, beside a bare
// append of the same octets. "indexed" is a delivery that brings the index of
// its message along, as the SMTP engine's do.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{1 << 10, 50 << 10} {
		for _, workers := range []int{1, 8, 64} {
			name := fmt.Sprintf("%dKiB/x%d", size>>10, workers)
			b.Run(name+"/into64", func(b *testing.B) { benchmarkDeliver(b, workers, 64, storage.Delivery{Body: text(size)}) })
			b.Run(name+"/into1", func(b *testing.B) { benchmarkDeliver(b, workers, 1, storage.Delivery{Body: text(size)}) })
			if size >= smallBody {
				index, err := message.Parse(text(size), message.Limits{})
				require.NoError(b, err)
				b.Run(name+"/into64indexed", func(b *testing.B) {
					benchmarkDeliver(b, workers, 64, storage.Delivery{Body: text(size), Index: index})
				})
			}
		}
	}
}

func benchmarkDeliver(b *testing.B, workers, users int, d storage.Delivery) {
	s, dir := benchStore(b)
	limit, err := enginetest.NewLimit(dir)
	require.NoError(b, err)
	defer limit.Close()
	var next atomic.Uint64
	deliver := func() error {
		d := d
		d.Targets = []storage.Target{{User: fmt.Sprintf("user%d@example.test", next.Add(1)%uint64(users)), Prefix: []byte(trace)}}
		r, err := s.Deliver(context.Background(), &d)
		if err == nil {
			err = r[0].Err
		}
		return err
	}
	for range users {
		require.NoError(b, deliver())
	}
	before := s.e.Stats()
	require.NoError(b, deliver())
	same := make([]byte, s.e.Stats().Written-before.Written)
	before = s.e.Stats()
	enginetest.Compare(b, workers, deliver, func() error { return limit.Append(same) })
	after := s.e.Stats()
	b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(after.Changes-before.Changes), "syncs/delivery")
}

// filled is a store whose alice has n messages in INBOX.
func filled(b *testing.B, n int) (*Store, *mailbox) {
	s, _ := benchStore(b)
	a, err := s.Account(b.Context(), "alice")
	require.NoError(b, err)
	found, err := a.Mailbox(b.Context(), "INBOX")
	require.NoError(b, err)
	body := text(1 << 10)
	for n > 0 {
		msgs := make([]storage.NewMessage, min(n, 1000))
		for i := range msgs {
			msgs[i] = storage.NewMessage{Body: body, Date: time.Unix(1770000000+int64(n-i)*3600, 0)}
		}
		_, err := found.Append(b.Context(), msgs...)
		require.NoError(b, err)
		n -= len(msgs)
	}
	return s, found.(*mailbox)
}

// goalStoreAll is how long BenchmarkStoreAll's change may take.
const goalStoreAll = 10 * time.Millisecond

// BenchmarkStoreAll changes a flag of all of 10,000 messages as one durable
// change.
func BenchmarkStoreAll(b *testing.B) {
	_, m := filled(b, 10_000)
	var took []time.Duration
	i := 0
	for b.Loop() {
		u := storage.FlagUpdate{UIDs: imap.UIDSet{{Start: 1, Stop: 0}}, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen)}
		if i++; i%2 == 0 {
			u.Op = imap.StoreFlagsDel
		}
		begin := time.Now()
		changed, _, err := m.StoreFlags(b.Context(), u)
		took = append(took, time.Since(begin))
		require.NoError(b, err)
		require.Len(b, changed, 10_000)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took).Seconds()*1000, "ms/change")
	b.ReportMetric(goalStoreAll.Seconds()*1000, "ms/goal")
}

// BenchmarkStoreOne changes a flag of one message of 10,000.
func BenchmarkStoreOne(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprintf("x%d", workers), func(b *testing.B) {
			_, m := filled(b, 10_000)
			limit, err := enginetest.NewLimit(b.TempDir())
			require.NoError(b, err)
			defer limit.Close()
			var next atomic.Uint32
			same := make([]byte, 1<<10)
			enginetest.Compare(b, workers, func() error {
				n := next.Add(1)
				op := imap.StoreFlagsAdd
				if n/10_000%2 == 1 {
					op = imap.StoreFlagsDel
				}
				_, _, err := m.StoreFlags(context.Background(), storage.FlagUpdate{UIDs: imap.UIDSetNum(imap.UID(n%10_000 + 1)), Op: op, Flags: storage.NewFlags(imap.FlagSeen)})
				return err
			}, func() error { return limit.Append(same) })
		})
	}
}

// BenchmarkList lists 10,000 messages, from memory and from disk.
func BenchmarkList(b *testing.B) {
	s, m := filled(b, 10_000)
	list := func() {
		n := 0
		for _, err := range m.Messages(b.Context(), 0) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 10_000, n)
	}
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for range m.Messages(b.Context(), 0) {
				n++
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			_, err := s.loadTable(b.Context(), m.id)
			require.NoError(b, err)
		}
	})
	list()
}
