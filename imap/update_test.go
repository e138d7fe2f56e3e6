package imap

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// pair returns two sessions with the same mailbox of n messages selected.
func pair(t *testing.T, n int) (a, b *client, s *Server) {
	t.Helper()
	s, addr := newServer(t, nil)
	for range n {
		deliver(t, s.Store, plainMessage)
	}
	a, b = login(t, addr), login(t, addr)
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	return a, b, s
}

func TestNoExpungeWhileSequenceNumbersAreInUse(t *testing.T) {
	a, b, _ := pair(t, 5)
	a.ok(`STORE 2,4 +FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE")
	for _, command := range []string{"FETCH 1:5 FLAGS", "STORE 1 +FLAGS (x)", "SEARCH ALL"} {
		require.NotContains(t, b.ok(command), "EXPUNGE", command)
	}
	untagged := b.fails("FETCH 1:5 ENVELOPE", "NO [EXPUNGEISSUED]")
	require.Equal(t, 3, strings.Count(untagged, "ENVELOPE"), "what is there is shown")
	require.NotContains(t, untagged, "EXPUNGE\r\n")
	untagged = b.ok("UID FETCH 3 FLAGS")
	require.Contains(t, untagged, "* 3 FETCH (FLAGS (")
	require.True(t, strings.HasSuffix(untagged, "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n"), untagged)
	require.Equal(t, "* 2 FETCH (UID 3)\r\n", b.ok("FETCH 2 UID"), "numbers mean what was told")
}

func TestSessionsTellEachOthersFlags(t *testing.T) {
	a, b, _ := pair(t, 3)
	a.ok(`STORE 2 +FLAGS (\Answered $New)`)
	untagged := b.ok("NOOP")
	require.Equal(t, "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $New)\r\n* 2 FETCH (UID 2 FLAGS (\\Answered $New))\r\n", untagged)
	require.Empty(t, b.ok("NOOP"), "once")
	require.Empty(t, a.ok("NOOP"), "who changed them knows")
}

func TestSilentStoreTellsWhatOthersChanged(t *testing.T) {
	a, b, _ := pair(t, 1)
	a.ok(`STORE 1 +FLAGS (\Answered)`)
	require.Equal(t, "* 1 FETCH (UID 1 FLAGS (\\Answered))\r\n", b.ok(`STORE 1 +FLAGS.SILENT (\Seen)`))
	require.Empty(t, b.ok("NOOP"))
}

func TestSilentStoreTellsWhatItFindsChanged(t *testing.T) {
	ctx := context.Background()
	s := &session{view: fuzzView(t)}
	update := storage.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(`\Answered`)}
	store := func(uids ...imap.UID) []storage.Message {
		update.UIDs = imap.UIDSetNum(uids...)
		stored, _, err := s.view.box.StoreFlags(ctx, update)
		require.NoError(t, err)
		return stored
	}
	store(2) // somebody else
	update.Flags = storage.NewFlags(`\Seen`)
	surprises, err := s.takeOver(ctx, store(1, 2), update.Op, update.Flags)
	require.NoError(t, err)
	require.Equal(t, []int{1}, surprises)
	require.Empty(t, s.out.b, "nothing else is told")
}

func TestMoveBySequenceNumberMeansWhatTheClientSaw(t *testing.T) {
	a, b, _ := pair(t, 3)
	a.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	a.ok("EXPUNGE")
	untagged := b.ok("MOVE 2 Trash")
	require.Contains(t, untagged, " 2 1] Moved\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n")
}

func TestUIDExpungeSparesWhatStandsBetweenItsUIDs(t *testing.T) {
	a, _, _ := pair(t, 4)
	a.ok(`STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	require.Equal(t, "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n", a.ok("UID EXPUNGE 1,3"))
}

func TestRecentIsGivenToOneSession(t *testing.T) {
	a, b, s := pair(t, 2)
	require.Contains(t, a.ok("FETCH 1 FLAGS"), `\Recent`)
	require.NotContains(t, b.ok("FETCH 1 FLAGS"), `\Recent`)
	deliver(t, s.Store, plainMessage)
	require.Contains(t, b.ok("NOOP"), "* 3 EXISTS\r\n* 1 RECENT\r\n")
	require.Contains(t, a.ok("NOOP"), "* 3 EXISTS\r\n* 2 RECENT\r\n")
}

func TestDeletedMailboxEndsSessionsThatSelectedIt(t *testing.T) {
	_, addr := newServer(t, nil)
	a, b := login(t, addr), login(t, addr)
	a.ok("CREATE Gone")
	b.ok("SELECT Gone")
	a.ok("DELETE Gone")
	b.send("x NOOP\r\n")
	require.Contains(t, b.expectClosed(), "mailbox was deleted")
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	a, _, _ := pair(t, 2)
	a.send("1 FETCH 1 UID\r\n2 NOOP\r\n3 FETCH 2 UID\r\n")
	for _, want := range []string{"* 1 FETCH (UID 1)", "1 OK FETCH completed", "2 OK NOOP completed", "* 2 FETCH (UID 2)", "3 OK FETCH completed"} {
		require.Equal(t, want, a.line())
	}
}

// forgetful is a mailbox that does not remember what was expunged.
type forgetful struct{ storage.Mailbox }

func (forgetful) Expunged(context.Context, uint64) (imap.UIDSet, error) {
	return nil, storage.ErrResync
}

func TestRefreshWithoutTombstonesFindsWhatIsGone(t *testing.T) {
	ctx := context.Background()
	store := memory.New()
	for range 6 {
		deliverTo(t, store, "alice", "INBOX", plainMessage)
	}
	account, err := store.Account(ctx, "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(ctx, "INBOX")
	require.NoError(t, err)
	v := &view{box: forgetful{box}}
	require.NoError(t, v.load(ctx))
	_, err = box.Expunge(ctx, imap.UIDSetNum(1, 3, 4, 6))
	require.NoError(t, err)
	_, _, err = box.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(2, 5), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("x")})
	require.NoError(t, err)
	deliverTo(t, store, "alice", "INBOX", plainMessage)
	n, err := v.refresh(ctx, allUpdates)
	require.NoError(t, err)
	require.Equal(t, []int{0, 2, 3, 5}, n.gone)
	require.Equal(t, []changed{{0, true}, {1, true}}, n.changed)
	require.True(t, n.arrived)
	var uids []imap.UID
	for i := range v.len() {
		uids = append(uids, v.at(i).uid)
	}
	require.Equal(t, []imap.UID{2, 5, 7}, uids)
}

func TestKeywordSetsThatNoMessageHasAreForgotten(t *testing.T) {
	ctx := context.Background()
	v := fuzzView(t)
	put := func(uid imap.UID, flags ...imap.Flag) {
		_, _, err := v.box.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(uid), Op: imap.StoreFlagsSet, Flags: storage.NewFlags(flags...)})
		require.NoError(t, err)
	}
	put(1, `\Seen`, "kept")
	_, err := v.refresh(ctx, allUpdates)
	require.NoError(t, err)
	old := v.reader
	for i := range 2 * spareSets {
		put(2, imap.Flag("k"+strconv.Itoa(i)))
		_, err := v.board.catchUp(ctx, v.box)
		require.NoError(t, err)
	}
	n, err := v.refresh(ctx, allUpdates)
	require.NoError(t, err)
	require.Equal(t, []changed{{1, true}}, n.changed, "new numbers alone are no change")
	require.Less(t, len(v.keywords.sets), spareSets+10)
	for _, r := range []*reader{&old, &v.reader} {
		require.True(t, r.flags(r.at(0)).Equal(storage.NewFlags(`\Seen`, "kept")))
	}
}
