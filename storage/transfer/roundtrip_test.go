package transfer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// requireRoundTrip exports an account and imports it into a new one, which
// must become its equal.
func requireRoundTrip(t *testing.T, from storage.Account, format Format) {
	t.Helper()
	dir := t.TempDir()
	out := mustExport(t, from, dir, format)
	to := newAccount(t)
	in := mustImport(t, to, dir, format)
	require.Equal(t, all(t, from), all(t, to))
	require.Equal(t, out, in)
}

func TestEveryOctetComesBack(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a := newAccount(t)
		for _, c := range oddContents {
			put(t, a, "INBOX", mail{content: c, date: time.Unix(1_700_000_000, 0)})
		}
		for i, c := range oddContents[:25] { // and with nothing else around it
			put(t, a, fmt.Sprintf("alone/%d", i), mail{content: c, date: time.Unix(1_700_000_000, 0)})
		}
		dir := t.TempDir()
		mustExport(t, a, dir, format)
		b := newAccount(t)
		mustImport(t, b, dir, format)
		list, err := a.Mailboxes(context.Background())
		require.NoError(t, err)
		for _, info := range list {
			want, have := got(t, a, info.Name), got(t, b, info.Name)
			require.Len(t, have, len(want), info.Name)
			for i := range want {
				require.True(t, want[i] == have[i], "%.200s\n%.200s", want[i], have[i])
			}
		}
	})
}

func TestRandomMessagesComeBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	eachFormat(t, func(t *testing.T, format Format) {
		r := rand.New(rand.NewPCG(seed, 0))
		a := newAccount(t)
		for range 2000 {
			put(t, a, "INBOX", randomMail(r))
		}
		requireRoundTrip(t, a, format)
	})
}

func TestEveryFlagAndKeywordComesBack(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a := newAccount(t)
		for system := range storage.SystemFlags(32) {
			put(t, a, "INBOX", mail{"Subject: x\r\n\r\n", storage.Flags{System: system}, time.Unix(1, 0)})
		}
		var many []imap.Flag
		for i := range storage.MaxKeywords {
			many = append(many, imap.Flag(fmt.Sprintf("keyword%d", i)))
		}
		for _, keywords := range [][]imap.Flag{
			{"$Forwarded"}, {"$forwarded", "x"}, {"a"}, {"A"}, {"a b", "c\r\nd"}, {"ü", "\xff", "%", ",", "+", "=", "\x00"}, many, {imap.Flag(strings.Repeat("long", 25))},
			{"$MDNSent", "$Junk", "NonJunk"},
		} {
			put(t, a, "INBOX", mail{"Subject: x\r\n\r\n", storage.NewFlags(keywords...), time.Unix(1, 0)})
		}
		requireRoundTrip(t, a, format)
	})
}

func TestDatesComeBackWithTheirZones(t *testing.T) {
	eachFormat(t, func(t *testing.T, format Format) {
		a := newAccount(t)
		for _, zone := range []int{0, 60, -60, 330, -210, 23*60 + 59, -23*60 - 59} {
			for _, year := range []int{1, 1899, 1969, 1970, 2026, 2039, 2500, 9999} {
				date := time.Date(year, 2, 3, 4, 5, 6, 0, time.FixedZone("", 60*zone))
				put(t, a, "INBOX", mail{content: "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n", date: date})
			}
		}
		requireRoundTrip(t, a, format)
	})
}

func TestFolderNamesKindsSpecialUseAndSubscriptionsComeBack(t *testing.T) {
	ctx := context.Background()
	eachFormat(t, func(t *testing.T, format Format) {
		a := newAccount(t)
		for i, name := range oddNames() {
			put(t, a, name, mail{content: "Subject: " + name + "\r\n\r\n", date: time.Unix(int64(i), 0)})
			if i%2 == 0 {
				require.NoError(t, a.Subscribe(ctx, name))
			}
		}
		require.NoError(t, a.Create(ctx, "Archiv/Größe", storage.NewMailbox{Attrs: []imap.MailboxAttr{imap.MailboxAttrArchive}}))
		require.NoError(t, a.Create(ctx, "Viel", storage.NewMailbox{Attrs: []imap.MailboxAttr{imap.MailboxAttrAll, imap.MailboxAttrFlagged}}))
		require.NoError(t, a.Create(ctx, "Kalender/privat", storage.NewMailbox{Kind: storage.Calendar}))
		require.NoError(t, a.Subscribe(ctx, "nowhere/é.x"))
		requireRoundTrip(t, a, format)
	})
}

func TestFolderNamesOnDiskAreThoseOfDovecot(t *testing.T) {
	for name, want := range map[string]string{
		"INBOX": "INBOX", "Sent": "Sent", "a/b": "a.b", "a.b": `a\2eb`, `a\b`: `a\5cb`, "~a": `\7ea`, "Entwürfe": "Entw&APw-rfe", "a&b": "a&-b", "INBOX/x": "INBOX.x",
	} {
		require.Equal(t, want, maildirName(name))
		require.Equal(t, name, fromMaildirName(want))
	}
}
