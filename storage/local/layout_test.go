package local_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

const layoutDocument = "../../doc/storage.md"

// TestReaderWrittenFromTheDocumentFindsAllMail proves that doc/storage.md is
// enough to read a store's directory: a reader that knows nothing else finds
// what the store says, in a log of two locations, in its backup, and in a log
// that goes on after a checkpoint.
func TestReaderWrittenFromTheDocumentFindsAllMail(t *testing.T) {
	base := t.TempDir()
	second := filepath.Join(base, `second "disk"`)
	require.NoError(t, os.Mkdir(second, 0o700))
	first, backup := filepath.Join(base, "mail"), filepath.Join(base, "backup")

	w := openLayout(t, first, local.Location{Path: filepath.Join(first, "log"), Limit: 512 << 10}, local.Location{Path: second})
	w.fill("one")
	require.NoError(t, w.s.Backup(t.Context(), backup, func(_, _ int64) {}))
	said := w.close()
	numbers, err := numbered(second, ".seg")
	require.NoError(t, err)
	require.NotEmpty(t, numbers, "the second location holds segments")
	said.foundIn(t, first)
	copied := said.foundIn(t, backup)
	require.NotEmpty(t, copied.from, "a backup begins with a checkpoint")
	require.Zero(t, copied.records)

	w = openLayout(t, backup)
	w.fill("two")
	said = w.close()
	after := said.foundIn(t, backup)
	require.NotEmpty(t, after.from)
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
	w = openLayout(t, backup)
	require.Equal(t, said.accounts, w.close().accounts, "and the store thinks so too")
}

// layoutWriter uses the real store and queue.
type layoutWriter struct {
	t   *testing.T
	s   *local.Store
	q   *queuelocal.Queue
	now time.Time
}

func openLayout(t *testing.T, dir string, locations ...local.Location) *layoutWriter {
	w := &layoutWriter{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	var err error
	w.s, err = local.Open(dir, local.Options{
		SegmentSize: 256 << 10, Locations: locations, Reserve: -1, Logger: slog.New(slog.DiscardHandler), Now: clock,
		Settings: func(string) storage.Settings { return storage.Settings{Retention: 48 * time.Hour} },
	})
	require.NoError(t, err)
	w.q, err = queuelocal.New(w.s, queuelocal.Options{Now: clock})
	require.NoError(t, err)
	return w
}

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
	receipts, err := w.s.Deliver(w.t.Context(), &storage.Delivery{Body: message.FromBytes([]byte(text)), Date: w.now.In(time.FixedZone("", -9000)), Targets: targets})
	require.NoError(w.t, err)
	for _, r := range receipts {
		require.NoError(w.t, r.Err)
	}
}

// fill does everything that leaves something in the directory.
func (w *layoutWriter) fill(round string) {
	w.fillMailboxes(round)
	w.fillMessages(round)
	w.fillQueue(round)
	for freed := int64(1); freed > 0; {
		var err error
		freed, err = w.s.Engine().Compact(w.t.Context())
		require.NoError(w.t, err)
	}
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
	quotas, ok := storage.As[storage.Quotas](a)
	require.True(t, ok)
	require.NoError(t, quotas.SetQuota(ctx, &storage.Quota{Bytes: 1 << 40, Mailboxes: 100}))
	require.NoError(t, quotas.SetMailboxQuota(ctx, "Work", &storage.Quota{Messages: 1000}))
	require.NoError(t, a.Create(ctx, "Gone", storage.NewMailbox{}))
	w.deliver("Subject: in a deleted mailbox\r\n\r\nx", storage.Target{User: "alice@example.test", Mailbox: "Gone"})
	require.NoError(t, a.Delete(ctx, "Gone"))
	w.deliver("x", storage.Target{User: "removed@example.test"})
	require.NoError(t, w.s.RemoveAccount(ctx, "removed@example.test"))
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
		many = append(many, storage.NewMessage{Body: message.FromBytes([]byte(octets(n, uint64(i)))), Date: w.now, Flags: storage.NewFlags(imap.FlagDraft)})
	}
	many = append(many, storage.NewMessage{Date: w.now})
	_, err := inbox.Append(ctx, many...)
	require.NoError(t, err)
	set := func(first, last imap.UID) imap.UIDSet { return imap.UIDSet{{Start: first, Stop: last}} }
	flags := func(u imap.UIDSet, op imap.StoreFlagsOp, names ...imap.Flag) {
		_, _, err := inbox.StoreFlags(ctx, storage.FlagUpdate{UIDs: u, Op: op, Flags: storage.NewFlags(names...)})
		require.NoError(t, err)
	}
	w.now = w.now.Add(time.Hour)
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
			outcomes[i] = queue.Outcome{Done: i == 0 && c.Destination == "one.test", Retry: w.now.Add(time.Minute), Reply: reply.Because(io.ErrUnexpectedEOF), Delayed: true}
		}
		require.NoError(t, w.q.Settle(ctx, c, outcomes))
	}
	m := put("both "+round, "d@two.test")
	m.Envelope.From = mail.Address{}
	_, _, err = w.q.Submit(ctx, &storage.Delivery{Body: m.Body, Targets: []storage.Target{{User: "carol", Prefix: []byte("A: b\r\n")}}}, m)
	require.NoError(t, err)
}

// layoutSaid is what the store says.
type layoutSaid struct {
	accounts []layoutAccount
	queued   []layoutQueued
}

// foundIn requires that the reader finds the same.
func (said layoutSaid) foundIn(t *testing.T, dir string) *layout {
	t.Helper()
	l, err := readLayout(dir)
	require.NoError(t, err)
	accounts, err := l.accounts()
	require.NoError(t, err)
	for i := range accounts {
		for k := range accounts[i].Retained {
			accounts[i].Retained[k].Saved = 0 // the store does not tell it
		}
	}
	require.Equal(t, said.accounts, accounts)
	queued, err := l.queued()
	require.NoError(t, err)
	left := make(map[uint64]uint64)
	for _, m := range queued {
		left[m.ID]++
	}
	for i := range queued {
		m := &queued[i]
		require.Equal(t, m.left, left[m.ID])
		require.LessOrEqual(t, m.left, m.total)
		m.total, m.left, m.size, m.Due = 0, 0, 0, 0
	}
	sortQueued(queued)
	require.Equal(t, said.queued, queued)
	return l
}

func (w *layoutWriter) accounts() (list []layoutAccount) {
	for _, user := range []string{"alice@example.test", "bob@example.test", "carol"} {
		ctx, a := w.t.Context(), w.account(user)
		infos, err := a.Mailboxes(ctx)
		require.NoError(w.t, err)
		acls, _ := storage.As[storage.ACLs](a)
		found := layoutAccount{User: user, ACL: w.acl(acls, "")}
		quotas, _ := storage.As[storage.Quotas](a)
		limit, _, err := quotas.Quota(ctx)
		require.NoError(w.t, err)
		found.Quota = layoutQuota(limit)
		slices.SortFunc(infos, func(x, y storage.MailboxInfo) int { return strings.Compare(x.Name, y.Name) })
		for _, info := range infos {
			if info.ID == 0 {
				found.Only = append(found.Only, info.Name)
				continue
			}
			m := w.said(w.mailbox(user, info.Name))
			m.Name, m.Subscribed, m.ACL = info.Name, info.Subscribed, w.acl(acls, info.Name)
			limit, _, err := quotas.MailboxQuota(ctx, info.Name)
			require.NoError(w.t, err)
			m.Quota = layoutQuota(limit)
			for _, attr := range info.Attrs {
				m.Attrs = append(m.Attrs, string(attr))
			}
			found.Mailboxes = append(found.Mailboxes, m)
		}
		keeper, _ := storage.As[storage.Retainer](a)
		for r, err := range keeper.Retained(ctx) {
			require.NoError(w.t, err)
			content, err := keeper.OpenRetained(ctx, r.ID)
			require.NoError(w.t, err)
			m := layoutRetained{uint64(r.ID), r.Mailbox, byte(r.Kind), r.Expunged.Unix(), r.Until.Unix(), w.saidOf(r.Message, content)}
			found.Retained = append(found.Retained, m)
		}
		list = append(list, found)
	}
	return list
}

func layoutQuota(q storage.Quota) [3]uint64 {
	return [3]uint64{uint64(q.Bytes), uint64(q.Messages), uint64(q.Mailboxes)}
}

func (w *layoutWriter) acl(a storage.ACLs, name string) (list []layoutACE) {
	acl, err := a.ACL(w.t.Context(), name)
	require.NoError(w.t, err)
	for _, e := range acl {
		list = append(list, layoutACE{e.Identifier, uint64(e.Allow), uint64(e.Deny)})
	}
	return list
}

func (w *layoutWriter) said(box storage.Mailbox) layoutMailbox {
	ctx, t := w.t.Context(), w.t
	st, err := box.Status(ctx)
	require.NoError(t, err)
	m := layoutMailbox{
		ID: uint64(box.ID()), Kind: byte(box.Kind()), Validity: uint64(st.UIDValidity), Next: uint64(st.UIDNext), ModSeq: st.HighestModSeq,
		Messages: uint64(st.Messages), Unseen: uint64(st.Unseen), Deleted: uint64(st.Deleted), Size: uint64(st.Size),
	}
	for one, err := range box.Messages(ctx, 0) {
		require.NoError(t, err)
		content, err := box.Open(ctx, one.UID)
		require.NoError(t, err)
		m.List = append(m.List, w.saidOf(one, content))
	}
	dater, _ := storage.As[storage.SaveDater](box)
	i := 0
	for d, err := range dater.SaveDates(ctx, imap.UIDSet{{Start: 1, Stop: 0}}) {
		require.NoError(t, err)
		require.EqualValues(t, d.UID, m.List[i].UID)
		m.List[i].Saved = d.Date.Unix()
		i++
	}
	gone, err := box.Expunged(ctx, 0)
	require.NoError(t, err)
	uids, _ := gone.Nums()
	for _, uid := range uids {
		m.Expunged = append(m.Expunged, uint64(uid))
	}
	return m
}

func (w *layoutWriter) saidOf(m storage.Message, content message.OpenBody) layoutMessage {
	b, err := io.ReadAll(message.NewReader(content))
	require.NoError(w.t, err)
	require.NoError(w.t, content.Close())
	_, zone := m.Date.Zone()
	found := layoutMessage{UID: uint64(m.UID), ModSeq: m.ModSeq, Flags: byte(m.Flags.System), Seconds: m.Date.Unix(), Minutes: int64(zone / 60), Size: uint64(m.Size), Content: digest(string(b))}
	for _, k := range m.Flags.Keywords {
		found.Keywords = append(found.Keywords, string(k))
	}
	return found
}

func (w *layoutWriter) queued() (list []layoutQueued) {
	ctx, t := w.t.Context(), w.t
	w.now = w.now.Add(time.Hour)
	claims, err := w.q.Claim(ctx, 100, time.Minute)
	require.NoError(t, err)
	for _, c := range claims {
		b, err := io.ReadAll(message.NewReader(c.Body))
		require.NoError(t, err)
		for i, to := range c.Envelope.Recipients {
			s := c.States[i]
			m := layoutQueued{
				ID: uint64(c.ID), From: c.From.String(), To: to.To.String(), FromOptions: w.json(c.Envelope.Options), ToOptions: w.json(to.Options),
				Destination: c.Destination, Received: c.Received.UnixNano(), Attempts: uint64(s.Attempts), Delayed: s.Delayed, Session: c.Session, Content: string(b),
			}
			if s.Last != nil {
				m.Code, m.Text, m.Reason = uint64(s.Last.Code), s.Last.Text, s.Last.Reason.Error()
				for i, n := range s.Last.Enhanced {
					m.Enhanced[i] = int64(n)
				}
			}
			list = append(list, m)
		}
		require.NoError(t, w.q.Release(context.Background(), c))
	}
	sortQueued(list)
	return list
}

func sortQueued(list []layoutQueued) {
	slices.SortFunc(list, func(a, b layoutQueued) int { return strings.Compare(a.Session+a.To, b.Session+b.To) })
}

// json is empty for the zero options.
func (w *layoutWriter) json(options any) string {
	if reflect.ValueOf(options).IsZero() {
		return ""
	}
	b, err := json.Marshal(options)
	require.NoError(w.t, err)
	return string(b)
}

// TestReaderOfTheLayoutUsesNothingOfOurs proves that the reader is
// independent.
func TestReaderOfTheLayoutUsesNothingOfOurs(t *testing.T) {
	for _, name := range []string{"layoutlog_test.go", "layoutrecords_test.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			require.NotContains(t, i.Path.Value, ".", "%s imports more than the standard library", name)
		}
	}
}

// TestDocumentNamesEveryKey proves that no key is added, and no number of a
// format raised, without a word in doc/storage.md.
func TestDocumentNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([^` ]+)`").FindAllStringSubmatch(string(text), -1)
	documented := make(map[string]bool)
	for _, m := range rows {
		documented[m[1]] = true
	}
	for _, where := range []struct{ file, constants string }{
		{"key.go", "^key"}, {"../../queue/local/key.go", "Prefix$"}, {"../../internal/engine/index.go", "^key"},
	} {
		found := 0
		for name, value := range constants(t, where.file) {
			if regexp.MustCompile(where.constants).MatchString(name) {
				found++
				require.True(t, documented[value], "%s is not in doc/storage.md: %s", name, value)
			}
		}
		require.NotZero(t, found, where.file)
	}
}

// TestDocumentHasTheNumbersOfTheCode compares what the page says of versions,
// bounds and common texts with the code.
func TestDocumentHasTheNumbersOfTheCode(t *testing.T) {
	b, err := os.ReadFile(layoutDocument)
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(b)), " ")
	for _, n := range []struct{ file, constant, value, says string }{
		{"codec.go", "version", "2", "Each begins with a version, `u8`, which is 2."},
		{"../../queue/local/record.go", "recordVersion", "1", "Records have versions of their own: `u8`, 1."},
		{"../../internal/engine/index.go", "formatVersion", "2", "| `!format` | `u8`: 2 |"},
		{"../../internal/engine/segment.go", "segmentMagic", "phsegm01", "`phsegm01`"},
		{"../../internal/engine/checkpoint.go", "checkpointMagic", "phckpt01", "`phckpt01`"},
		{"../../message/codec.go", "codecVersion", "1", "its own version, `u8`, which is 1,"},
		{"expunge.go", "maxTombs", "2000", "at most 2,000; when there are more, the oldest 1,000 are dropped"},
		{"expunge.go", "dropTombs", "1000", "the oldest 1,000 are dropped"},
		{"tree.go", "maxFreed", "1000", "how many `v` the account has, at most 1,000"},
		{"page.go", "pageBits", "6", "A page is the messages of 64 UIDs"},
		{"../../internal/engine/committer.go", "groupChanges", "512", "at most 512 changes"},
	} {
		require.Equal(t, n.value, constants(t, n.file)[n.constant], "%s in %s", n.constant, n.file)
		require.True(t, strings.Contains(text, n.says), "doc/storage.md does not say of %s: %s", n.constant, n.says)
	}
	var quoted []string
	for _, s := range commonTexts(t) {
		quoted = append(quoted, strconv.Quote(s))
	}
	texts := strings.Join(quoted, ", ")
	require.True(t, strings.Contains(text, texts), "doc/storage.md does not have the common texts of part indexes: %s", texts)
}

// constants returns those of a file whose value is written out.
func constants(t *testing.T, file string) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	found := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		for i := 0; ok && i < len(spec.Values); i++ {
			if lit, is := spec.Values[i].(*ast.BasicLit); is {
				found[spec.Names[i].Name] = literal(t, lit)
			}
		}
		return true
	})
	return found
}

func literal(t *testing.T, lit *ast.BasicLit) string {
	if lit.Kind != token.CHAR && lit.Kind != token.STRING {
		return strings.ReplaceAll(lit.Value, "_", "")
	}
	s, err := strconv.Unquote(lit.Value)
	require.NoError(t, err)
	return s
}

// commonTexts reads them from the source of package message.
func commonTexts(t *testing.T) (texts []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../message/codec.go", nil, 0)
	require.NoError(t, err)
	named := map[string]string{"MissingMailbox": message.MissingMailbox, "MissingHost": message.MissingHost}
	for _, e := range f.Scope.Lookup("commonTexts").Decl.(*ast.ValueSpec).Values[0].(*ast.CompositeLit).Elts {
		switch e := e.(type) {
		case *ast.BasicLit:
			texts = append(texts, literal(t, e))
		case *ast.Ident:
			texts = append(texts, named[e.Name])
		}
	}
	require.NotEmpty(t, texts)
	require.NotContains(t, texts, "")
	return texts
}
