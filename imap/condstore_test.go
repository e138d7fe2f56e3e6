package imap

import (
	"context"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// resyncing returns two sessions with the same mailbox of n messages selected,
// of which the second has enabled QRESYNC.
func resyncing(t *testing.T, n int) (a, b *client) {
	t.Helper()
	s, addr := newServer(t, nil)
	for range n {
		deliver(t, s.Store, plainMessage)
	}
	a, b = login(t, addr), login(t, addr)
	b.ok("ENABLE QRESYNC")
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	return a, b
}

func TestChangesOfOthersCarryModSeqs(t *testing.T) {
	a, b := resyncing(t, 3)
	a.ok(`STORE 2 +FLAGS (\Answered)`)
	require.Equal(t, "* 2 FETCH (UID 2 FLAGS (\\Answered) MODSEQ (5))\r\n", b.ok("NOOP"))
	a.ok(`STORE 2 +FLAGS.SILENT (\Seen)`)
	a.ok(`STORE 2 -FLAGS.SILENT (\Seen)`)
	require.Equal(t, "* 2 FETCH (UID 2 FLAGS (\\Answered) MODSEQ (7))\r\n", b.ok("NOOP"), "a mod-sequence alone is news")
	a.ok(`STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE")
	require.Equal(t, "* VANISHED 1,3\r\n* OK [HIGHESTMODSEQ 9] Highest\r\n", b.ok("NOOP"))
}

func TestClientIsHeldBackBeforeExpungesItCouldNotHear(t *testing.T) {
	a, b := resyncing(t, 3)
	a.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	b.ok("NOOP")
	a.ok("EXPUNGE")
	require.Equal(t, "* 3 FETCH (UID 3 MODSEQ (7))\r\n* OK [HIGHESTMODSEQ 5] Highest\r\n", b.ok("STORE 3 +FLAGS.SILENT ($x)")[len("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $x)\r\n"):])
	require.Equal(t, "* VANISHED 1\r\n* OK [HIGHESTMODSEQ 7] Highest\r\n", b.ok("NOOP"))
	require.Equal(t, "* 2 FETCH (MODSEQ (7))\r\n", b.ok("FETCH 2 (MODSEQ)"), "everything is known again")
}

// newestView returns a session with a view of a mailbox of n messages.
func newestView(t *testing.T, n int, wrap func(storage.Mailbox) storage.Mailbox) (*session, storage.Mailbox) {
	t.Helper()
	account, err := memory.New().Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), storage.Inbox)
	require.NoError(t, err)
	msgs := make([]storage.NewMessage, n)
	for i := range msgs {
		msgs[i].Body = message.FromBytes([]byte("x\r\n"))
	}
	_, err = box.Append(t.Context(), msgs...)
	require.NoError(t, err)
	box = wrap(box)
	v := &view{box: box}
	require.NoError(t, v.load(t.Context()))
	return &session{view: v, extensions: condstore | qresync}, box
}

func TestResyncLooksAtChangesAlone(t *testing.T) {
	counting := &countingMailbox{}
	s, box := newestView(t, 10_000, func(m storage.Mailbox) storage.Mailbox { counting.Mailbox = m; return counting })
	ctx := context.Background()
	_, _, err := box.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(1, 5000, 10_000), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("x")})
	require.NoError(t, err)
	_, err = box.Expunge(ctx, imap.UIDSetNum(2, 3))
	require.NoError(t, err)
	since := s.view.told()
	s.view = &view{box: box}
	require.NoError(t, s.view.load(ctx))
	counting.yielded = 0
	require.NoError(t, s.tellResync(ctx, &resync{validity: s.view.validity, since: since}))
	require.Equal(t, 3, counting.yielded)
	require.Equal(t, "* VANISHED (EARLIER) 2:3\r\n* 1 FETCH (UID 1 FLAGS (x) MODSEQ (3))\r\n"+
		"* 4998 FETCH (UID 5000 FLAGS (x) MODSEQ (3))\r\n* 9998 FETCH (UID 10000 FLAGS (x) MODSEQ (3))\r\n", string(s.out.b))
}

func TestVanishedIsFoundWithoutTombstones(t *testing.T) {
	s, box := newestView(t, 10, func(m storage.Mailbox) storage.Mailbox { return forgetful{m} })
	ctx := context.Background()
	_, err := box.Expunge(ctx, imap.UIDSetNum(2, 3, 7, 10))
	require.NoError(t, err)
	s.view = &view{box: box}
	require.NoError(t, s.view.load(ctx))
	for parameters, want := range map[string]string{
		"":                             "2:3,7,10",
		" 1:7":                         "2:3,7",
		" 3,10,4294967295":             "3,10",
		" (1:2 1:2)":                   "2:3,7,10",
		" (1 1)":                       "2:3,7,10",
		" (2,4:5 4,6:7)":               "7,10", // numbers and UIDs agree up to 4
		" (6,1000 9,4294967295)":       "10",
		" 1:9 (6 9)":                   "",
		" (1:4294967295 1:429496:)":    "BAD",
		" (2 4":                        "BAD",
		" 5:* ":                        "BAD",
		" (1:4294967295 1:4294967295)": "2:3,7,10",
	} {
		s.out.b = nil
		p := &parser{buf: []byte("(5 1" + parameters + ")")}
		r := p.resync()
		if err := p.end(); want == "BAD" {
			require.Error(t, err, parameters)
			continue
		} else {
			require.NoError(t, err, parameters)
		}
		gone, err := s.view.vanished(ctx, &vanishing{since: r.since, known: r.known, match: r.match})
		require.NoError(t, err)
		s.tellVanished(" ", gone)
		got := strings.TrimSuffix(strings.TrimPrefix(string(s.out.b), "* VANISHED "), "\r\n")
		require.Equal(t, want, got, parameters)
	}
}
