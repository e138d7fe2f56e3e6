package local_test

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/local"
)

// TestReaderWrittenFromTheDocumentFindsAllMail proves that doc/storage.md is
// enough to read a store's directory: a reader that knows nothing else finds
// what the store says, in a log of two locations, in its backup, and in a log
// that goes on after a checkpoint.
func TestReaderWrittenFromTheDocumentFindsAllMail(t *testing.T) {
	base := t.TempDir()
	second := filepath.Join(base, `second "disk"`)
	require.NoError(t, os.Mkdir(second, 0o700))
	first, backup := filepath.Join(base, "mail"), filepath.Join(base, "backup")

	w := openLayout(t, first, smallSegments, local.Location{Path: filepath.Join(first, "log"), Limit: 512 << 10}, local.Location{Path: second})
	w.fill("one")
	require.NoError(t, w.s.Backup(t.Context(), backup, func(_, _ int64) {}))
	said := w.close()
	numbers, err := numbered(second, ".seg")
	require.NoError(t, err)
	require.NotEmpty(t, numbers, "the second location holds segments")
	l := said.foundIn(t, first)
	require.NotZero(t, l.moved(), "compaction has moved bodies")
	large, err := l.bodyRecords()
	require.NoError(t, err)
	require.NotZero(t, large, "a large body is a record of its own")
	copied := said.foundIn(t, backup)
	require.NotEmpty(t, copied.from, "a backup begins with a checkpoint")
	require.Zero(t, copied.records)

	w = openLayout(t, backup, oneSegment)
	w.fill("two")
	said = w.close()
	after := said.foundIn(t, backup)
	require.Equal(t, copied.from, after.from, "no further checkpoint was made")
	require.NotZero(t, after.records, "the log goes on after the checkpoint")

	last := after.order[len(after.order)-1]
	f, err := os.OpenFile(after.segments[last], os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	b, err := after.segment(last)
	require.NoError(t, err)
	_, err = f.Write(append(slices.Clone(b.salt), make([]byte, 100)...))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	torn := said.foundIn(t, backup)
	require.Equal(t, after.keys, torn.keys, "what a crash leaves at the end is no part of the log")
	w = openLayout(t, backup, oneSegment)

	third := filepath.Join(base, "third")
	x := openLayout(t, third, oneSegment)
	x.now.Store(w.now.Load())
	for _, a := range said.accounts {
		var archive bytes.Buffer
		_, err := w.s.Pack(t.Context(), a.User, &archive, local.PackOptions{})
		require.NoError(t, err)
		_, err = x.s.Unpack(t.Context(), a.User, &archive, local.UnpackOptions{})
		require.NoError(t, err)
	}
	require.Equal(t, said.accounts, w.close().accounts, "and the store thinks so too")
	moved := x.close()
	moved.foundIn(t, third)
	for _, accounts := range [][]layoutAccount{said.accounts, moved.accounts} {
		for _, a := range accounts {
			for k := range a.Retained {
				a.Retained[k].Number = 0 // its number is the store's
			}
		}
	}
	require.Equal(t, said.accounts, moved.accounts, "where all accounts have moved to")
}

// layoutWriter uses the real store and queue.
type layoutWriter struct {
	t   *testing.T
	s   *local.Store
	q   *queuelocal.Queue
	now atomic.Int64 // the clock, in seconds since 1970
}

// Octets of a segment.
const (
	smallSegments = 256 << 10 // many segments, and checkpoints at any time
	oneSegment    = 64 << 20  // no further checkpoint
)

func openLayout(t *testing.T, dir string, segment int64, locations ...local.Location) *layoutWriter {
	w := &layoutWriter{t: t}
	w.now.Store(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Unix())
	var err error
	w.s, err = local.Open(dir, local.Options{
		SegmentSize: segment, Locations: locations, Reserve: -1, Logger: slog.New(slog.DiscardHandler), Now: w.clock,
		Settings: func(domain string) storage.Settings {
			if domain == "" {
				return storage.Settings{}
			}
			return storage.Settings{Retention: 48 * time.Hour}
		},
	})
	require.NoError(t, err)
	w.q, err = queuelocal.New(w.s, queuelocal.Options{Now: w.clock})
	require.NoError(t, err)
	return w
}

func (w *layoutWriter) clock() time.Time { return time.Unix(w.now.Load(), 0).UTC() }

// close returns what the store said before.
func (w *layoutWriter) close() layoutSaid {
	said := layoutSaid{accounts: w.accounts(), queued: w.queued()}
	require.NoError(w.t, w.q.Close())
	require.NoError(w.t, w.s.Close())
	return said
}

func octets(n int, seed uint64) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return "Subject: octets\r\n\r\n" + string(b)
}

func (w *layoutWriter) account(user string) storage.Account {
	a, err := w.s.Account(w.t.Context(), user)
	require.NoError(w.t, err)
	return a
}

func (w *layoutWriter) mailbox(user, name string) storage.Mailbox {
	m, err := w.account(user).Mailbox(w.t.Context(), name)
	require.NoError(w.t, err)
	return m
}

func (w *layoutWriter) deliver(text string, targets ...storage.Target) {
	receipts, err := w.s.Deliver(w.t.Context(), &storage.Delivery{Body: message.FromBytes([]byte(text)), Date: w.clock().In(time.FixedZone("", -9000)), Targets: targets})
	require.NoError(w.t, err)
	for _, r := range receipts {
		require.NoError(w.t, r.Err)
	}
}

// fill does everything that leaves something in the directory.
func (w *layoutWriter) fill(round string) {
	w.fillMailboxes(round)
	w.fillMessages(round)
	w.fillDead()
	w.fillQueue(round)
	for freed := int64(1); freed > 0; {
		var err error
		freed, err = w.s.Engine().Compact(w.t.Context())
		require.NoError(w.t, err)
	}
	w.accounts() // what the deleted mailbox held is retained when somebody has asked
}

func (w *layoutWriter) fillMailboxes(round string) {
	ctx, t := w.t.Context(), w.t
	a := w.account("alice@example.test")
	require.NoError(t, a.Create(ctx, "Work/Été "+round, storage.NewMailbox{Attrs: []imap.MailboxAttr{imap.MailboxAttrArchive}}))
	require.NoError(t, a.Create(ctx, "Dates "+round, storage.NewMailbox{Kind: storage.Calendar}))
	require.NoError(t, a.Create(ctx, "Old "+round, storage.NewMailbox{}))
	require.NoError(t, a.Rename(ctx, "Old "+round, "Work/New "+round))
	require.NoError(t, a.Subscribe(ctx, "Nowhere "+round))
	acls, ok := storage.As[storage.ACLs](a)
	require.True(t, ok)
	require.NoError(t, acls.SetACL(ctx, "", storage.ACL{{Identifier: "anyone", Allow: storage.RightLookup}}))
	require.NoError(t, acls.SetACL(ctx, "Work", storage.ACL{{Identifier: "bob@example.test", Allow: storage.AllRights, Deny: storage.RightAdmin}}))
	w.annotate(a, round)
	quotas, ok := storage.As[storage.Quotas](a)
	require.True(t, ok)
	require.NoError(t, quotas.SetQuota(ctx, &storage.Quota{Bytes: 1 << 40, Mailboxes: 100}))
	require.NoError(t, quotas.SetMailboxQuota(ctx, "Work", &storage.Quota{Messages: 1000}))
	require.NoError(t, a.Create(ctx, "Gone", storage.NewMailbox{}))
	notes, _ := storage.As[storage.Annotations](a)
	require.NoError(t, notes.Annotate(ctx, "Gone", storage.Annotation{Name: "/gone", Value: []byte("x")}))
	w.deliver("Subject: in a deleted mailbox\r\n\r\nx", storage.Target{User: "alice@example.test", Mailbox: "Gone"})
	require.NoError(t, a.Delete(ctx, "Gone"))
	w.deliver("x", storage.Target{User: "removed@example.test"})
	require.NoError(t, w.s.RemoveAccount(ctx, "removed@example.test"))
}

func (w *layoutWriter) annotate(a storage.Account, round string) {
	notes, ok := storage.As[storage.Annotations](a)
	require.True(w.t, ok)
	for _, name := range []string{"", "Work", "Work/New " + round} {
		require.NoError(w.t, notes.Annotate(w.t.Context(), name,
			storage.Annotation{Name: "/comment", Value: []byte("of " + round)}, storage.Annotation{Name: "/empty", Value: []byte{}},
			storage.Annotation{Name: "/vendor/x/octets", User: "bob@example.test", Value: []byte("\x00\xff" + strings.Repeat(round, 1000))}))
	}
}

func (w *layoutWriter) fillMessages(round string) {
	ctx, t, alice := w.t.Context(), w.t, "alice@example.test"
	trace := "Received: from there " + round + "\r\n"
	for i := range 150 {
		w.deliver("Subject: "+strconv.Itoa(i)+"\r\n\r\n"+strings.Repeat(round, i*20), storage.Target{User: alice, Prefix: []byte("Return-Path: <x>\r\n" + trace)},
			storage.Target{User: "bob@example.test", Flags: storage.NewFlags(imap.FlagFlagged, "$Label"+imap.Flag(round)), Prefix: []byte(trace)},
			storage.Target{User: "carol", Mailbox: "Lists/a", Create: true, Prefix: []byte("Delivered-To: carol\r\n" + trace)})
	}
	for i, n := range []int{70 << 10, 64 << 10, 1<<20 + 12345, 0} {
		w.deliver(octets(n, uint64(i)), storage.Target{User: "bob@example.test"})
	}
	w.deliver("", storage.Target{User: "bob@example.test"}, storage.Target{User: alice, Prefix: []byte("X: only a prefix\r\n\r\n")})
	inbox := w.mailbox(alice, "INBOX")
	var many []storage.NewMessage
	for i, n := range []int{10, 0, 80 << 10, 300} {
		many = append(many, storage.NewMessage{Body: message.FromBytes([]byte(octets(n, uint64(i)))), Date: w.clock(), Flags: storage.NewFlags(imap.FlagDraft)})
	}
	many = append(many, storage.NewMessage{Date: w.clock()})
	_, err := inbox.Append(ctx, many...)
	require.NoError(t, err)
	set := func(first, last imap.UID) imap.UIDSet { return imap.UIDSet{{Start: first, Stop: last}} }
	flags := func(u imap.UIDSet, op imap.StoreFlagsOp, names ...imap.Flag) {
		_, _, err := inbox.StoreFlags(ctx, storage.FlagUpdate{UIDs: u, Op: op, Flags: storage.NewFlags(names...)})
		require.NoError(t, err)
	}
	w.now.Add(3600)
	flags(set(10, 30), imap.StoreFlagsAdd, imap.FlagSeen, "$Forwarded", "zebra")
	flags(set(20, 20), imap.StoreFlagsSet, imap.FlagDeleted, imap.FlagAnswered)
	status, err := inbox.Status(ctx)
	require.NoError(t, err)
	flags(set(status.UIDNext-2, 0), imap.StoreFlagsAdd, "last") // a page that is not complete
	_, err = inbox.Expunge(ctx, append(set(12, 14), set(64, 127)...))
	require.NoError(t, err)
	_, err = inbox.Copy(ctx, set(1, 9), "Work/Été "+round)
	require.NoError(t, err)
	_, err = inbox.Move(ctx, append(set(3, 5), set(18, 25)...), "Work/New "+round)
	require.NoError(t, err)
	w.deliver("after all that "+round, storage.Target{User: alice})
}

// fillDead leaves segments that are worth compacting.
func (w *layoutWriter) fillDead() {
	for i := range 60 {
		w.deliver(octets(20<<10, uint64(i)), storage.Target{User: "carol"})
	}
	m := w.mailbox("carol", "INBOX")
	status, err := m.Status(w.t.Context())
	require.NoError(w.t, err)
	var gone imap.UIDSet
	for i := range imap.UID(60) {
		if i%4 > 0 {
			gone.AddNum(status.UIDNext - 1 - i)
		}
	}
	_, err = m.Expunge(w.t.Context(), gone)
	require.NoError(w.t, err)
}

func (w *layoutWriter) fillQueue(round string) {
	ctx, t := w.t.Context(), w.t
	put := func(session string, to ...string) *queue.Message {
		m := &queue.Message{Prefix: []byte("Received: q\r\n"), Session: session, Body: message.FromBytes([]byte("Subject: q\r\n\r\n" + round))}
		m.Envelope.From = mail.MustParseAddress("alice@example.test")
		m.Envelope.Options = smtp.MailOptions{EnvelopeID: session, UTF8: true}
		for _, a := range to {
			m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
		}
		m.Envelope.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyFailure}
		return m
	}
	_, err := w.q.Put(ctx, put("several "+round, "a@one.test", "b@one.test", "c@two.test"))
	require.NoError(t, err)
	claims, err := w.q.Claim(ctx, 100, time.Minute)
	require.NoError(t, err)
	for _, c := range claims {
		outcomes := make([]queue.Outcome, len(c.Envelope.Recipients))
		for i := range outcomes {
			reply := mail.Errorf(451, smtp.EnhancedCode{4, 2, 1}, "later")
			outcomes[i] = queue.Outcome{Done: i == 0 && c.Destination == "one.test", Retry: w.clock().Add(time.Minute), Reply: reply.Because(io.ErrUnexpectedEOF), Delayed: true}
		}
		require.NoError(t, w.q.Settle(ctx, c, outcomes))
	}
	m := put("both "+round, "d@two.test")
	m.Envelope.From = mail.Address{}
	_, _, err = w.q.Submit(ctx, &storage.Delivery{Body: m.Body, Targets: []storage.Target{{User: "carol", Prefix: []byte("A: b\r\n")}}}, m)
	require.NoError(t, err)
}
