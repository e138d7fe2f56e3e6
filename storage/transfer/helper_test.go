package transfer

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

var formats = []Format{Maildir, Mbox}

// eachFormat runs a test for each format.
func eachFormat(t *testing.T, f func(t *testing.T, format Format)) {
	for _, format := range formats {
		t.Run(format.String(), func(t *testing.T) { f(t, format) })
	}
}

func newAccount(t testing.TB) storage.Account { return newAccountWith(t, 0) }

// newAccountWith makes an account in a store that has others already.
func newAccountWith(t testing.TB, others int) storage.Account {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	for i := range others {
		_, err := s.Account(context.Background(), fmt.Sprint(i))
		require.NoError(t, err)
	}
	a, err := s.Account(context.Background(), "alice@example.test")
	require.NoError(t, err)
	return a
}

// mail is one message of a test.
type mail struct {
	content string
	flags   storage.Flags
	date    time.Time
}

// put appends messages to a mailbox, which it makes when it is missing.
func put(t testing.TB, a storage.Account, mailbox string, mails ...mail) {
	t.Helper()
	ctx := context.Background()
	box, err := a.Mailbox(ctx, mailbox)
	if err != nil {
		require.NoError(t, a.Create(ctx, mailbox, storage.NewMailbox{}))
		box, err = a.Mailbox(ctx, mailbox)
		require.NoError(t, err)
	}
	for _, m := range mails {
		_, err := box.Append(ctx, storage.NewMessage{Body: message.FromBytes([]byte(m.content)), Flags: m.flags, Date: m.date})
		require.NoError(t, err)
	}
}

// got returns what is in a mailbox, as text that is equal when all is equal.
func got(t testing.TB, a storage.Account, mailbox string) []string {
	t.Helper()
	ctx := context.Background()
	box, err := a.Mailbox(ctx, mailbox)
	require.NoError(t, err)
	list := []string{}
	for m, err := range box.Messages(ctx, 0) {
		require.NoError(t, err)
		body, err := box.Open(ctx, m.UID)
		require.NoError(t, err)
		content, err := io.ReadAll(message.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, body.Close())
		list = append(list, describe(mail{string(content), m.Flags, m.Date}))
	}
	return list
}

func describe(m mail) string {
	return fmt.Sprintf("%s %q %q", m.date.Format(time.RFC3339), m.flags.Names(), m.content)
}

// all returns a whole account as text.
func all(t testing.TB, a storage.Account) []string {
	t.Helper()
	list, err := a.Mailboxes(context.Background())
	require.NoError(t, err)
	var text []string
	for _, info := range list {
		text = append(text, fmt.Sprintf("%q %v %v %v", info.Name, info.Subscribed, info.Kind, info.Attrs))
		if info.ID != 0 {
			text = append(text, got(t, a, info.Name)...)
		}
	}
	return text
}

// quiet is for runs that must not have anything to say.
func quiet(t testing.TB) Options {
	return Options{SpoolDir: t.TempDir(), Note: func(mailbox, text string) { t.Errorf("%s: %s", mailbox, text) }}
}

func mustExport(t testing.TB, a storage.Account, dir string, f Format) Summary {
	t.Helper()
	sum, err := Export(context.Background(), a, dir, f, quiet(t))
	require.NoError(t, err)
	return sum
}

func mustImport(t testing.TB, a storage.Account, dir string, f Format) Summary {
	t.Helper()
	sum, err := Import(context.Background(), a, dir, f, quiet(t))
	require.NoError(t, err)
	return sum
}

// oddContents are messages that a format for text could lose something of.
var oddContents = []string{
	"",
	"\r\n",
	"\n",
	"\r",
	"\n\n",
	"\r\n\r\n",
	"\r\r\n",
	"x",
	"Subject: a\r\n\r\nb\r\n",
	"Subject: a\r\n\r\nno line end",
	"Subject: a\r\n\r\nno line end\r",
	"Subject: a\n\nonly LF\n",
	"Subject: a\r\n\r\nbare \r CR\r\n",
	"Subject: a\r\n\r\nbare \n LF\r\n",
	"Subject: a\r\n\r\nmixed\n\r\n\r\n",
	"Subject: a\r\n\r\n\x00NUL\x00\r\n\x00",
	"Subject: \xff\xfe\r\n\r\n\x80\x81\r\n",
	"From alice\r\nSubject: a\r\n\r\nFrom bob\r\n>From carol\r\n>>From dave\r\nFrom\r\nFrom: x\r\n> From\r\n>>>\r\n>>>From",
	"From x Thu Jan  1 00:00:00 1970\n\nFrom x Thu Jan  1 00:00:00 1970\n",
	"Subject: a\r\n\r\nFrom x Thu Jan  1 00:00:00 1970\r\n\r\nFrom x Thu Jan  1 00:00:00 1970\r\n\r\n",
	"Status: RO\r\nX-Status: AF\r\nX-Keywords: a b\r\nX-UID: 4\r\nX-IMAP: 1 2\r\nContent-Length: 3\r\nSubject: a\r\n\r\nb\r\n",
	"X-Posthouse-Message: date=2001-01-01T00:00:00+00:00 lines=raw end=added\r\nStatus: \r\nX-Status: \r\nX-Keywords:\r\n\r\nb\r\n",
	"Return-Path: <bob@example.org>\r\nSubject: a\r\n\r\nb\r\n\r\n\r\n",
	"Return-Path: <bo b\"\xff@example.org>\r\n\r\n",
	": \r\n\t\r\n \r\n",
	"Subject: long\r\n\r\n" + strings.Repeat("x", 3<<20) + "\r\n",
	strings.Repeat("y", 2<<20) + "\r" + strings.Repeat(">", 200_000) + "From \n" + strings.Repeat("\r\n", 300_000),
	strings.Repeat("Fro", 100_000) + strings.Repeat("\nFrom x", 50_000),
}

// randomContent is made of what matters to the formats.
func randomContent(r *rand.Rand) string {
	pieces := []string{"\r", "\n", "\r\n", ">", "From ", "From", "F", "a", "\x00", "Status: R", "X-Status: A", "\r\n\r\n", ": ", "From x Thu Jan  1 00:00:00 1970\n"}
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomFlags(r *rand.Rand) storage.Flags {
	f := storage.Flags{System: storage.SystemFlags(r.IntN(32))}
	var words []imap.Flag
	for range r.IntN(4) {
		words = append(words, imap.Flag([]string{"$Forwarded", "work", "later", "a b", "ü", "x,y", "%41"}[r.IntN(7)]))
	}
	f.Keywords = storage.NewFlags(words...).Keywords
	return f
}

func randomMail(r *rand.Rand) mail {
	zone := time.FixedZone("", (r.IntN(2*14*60)-14*60)*60)
	return mail{randomContent(r), randomFlags(r), storage.TrimDate(time.Unix(r.Int64N(2_000_000_000), 0).In(zone))}
}

// oddNames are names of mailboxes that a file system could lose something of.
func oddNames() []string {
	return []string{
		"a.b", "a/b.c/d", "~", "~/x", "x~", "&", "a&b/&-", `back\slash`, `\2e`, "&AC4-", "Entwürfe/Größe", "日本語/メール", "\U0001F4E7", "two words", " lead", "trail ",
		"...", ".hidden/.x", "a.", ".mbox", "x.mbox", "x", "x/y", "x.mbox/z", "x.MBOX", "INBOX/below", "cur", "new/tmp", "subscriptions", "posthouse-import", "a:b", "'\"", "-rf", "#",
		strings.Repeat("long", 200), "deep/" + strings.Repeat("ü", 400), strings.Repeat("l/", 99) + "l", "ac",
	}
}
