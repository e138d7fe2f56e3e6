package imap

import (
	"context"
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// perMessage is how many octets of memory a message of a selected mailbox may
// cost, however many sessions have it selected.
const perMessage = 40

// bigBox serves alice's INBOX of n small messages.
func bigBox(t *testing.T, n int) (addr string) {
	s, addr := newServer(t, nil)
	account, err := s.Store.Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), storage.Inbox)
	require.NoError(t, err)
	_, err = box.Append(t.Context(), storage.NewMessage{Body: message.FromBytes([]byte(plainMessage)), Date: received})
	require.NoError(t, err)
	for have := 1; have < n; {
		more := min(have, n-have)
		_, err := box.Copy(t.Context(), imap.UIDSet{{Start: 1, Stop: imap.UID(more)}}, storage.Inbox)
		require.NoError(t, err)
		have += more
	}
	return addr
}

func TestSessionsShareTheMemoryOfAMailbox(t *testing.T) {
	const n, sessions = 100_000, 20
	addr := bigBox(t, n)
	clients := make([]*client, sessions)
	for i := range clients {
		clients[i] = login(t, addr)
	}
	before := int(heap())
	check := func(messages int) {
		t.Helper()
		used := int(heap()) - before
		t.Logf("%d messages, %d sessions: %.1f octets a message", messages, sessions, float64(used)/float64(messages))
		require.Less(t, used, messages*perMessage)
	}
	for _, c := range clients {
		c.ok("SELECT INBOX")
	}
	check(n)
	clients[0].ok(`STORE 1:* +FLAGS.SILENT (\Seen)`)
	for _, c := range clients {
		c.ok("NOOP")
	}
	check(n)
}

func TestMailboxThatLostMostOfItsMessagesCostsWhatIsLeft(t *testing.T) {
	before := int(heap())
	s := &snapshot{}
	for uid := imap.UID(1); uid <= 100_000; uid += 500 {
		var puts []entry
		for k := range imap.UID(500) {
			puts = append(puts, entry{uid: uid + k})
		}
		s = s.edit(puts, nil)
	}
	for part := range imap.UID(4) { // in several steps, to leave few neighbours here and there
		var gone imap.UIDSet
		for uid := imap.UID(1) + part; uid <= 100_000; uid += 5 {
			gone = append(gone, imap.UIDRange{Start: uid, Stop: uid})
		}
		s = s.edit(nil, gone)
	}
	s = s.edit(nil, imap.UIDSet{{Start: 20_000, Stop: 90_000}})
	used := int(heap()) - before
	require.Less(t, used, s.count*perMessage)
	require.InDelta(t, used, s.octets(), float64(used)/4, "what boards count")
}

// TestSessionThatNeverReadsKeepsOneOldState proves that memory does not grow
// with the number of changes that a session was not told of.
func TestSessionThatNeverReadsKeepsOneOldState(t *testing.T) {
	const n = 20_000
	addr := bigBox(t, n)
	silent, busy := login(t, addr), login(t, addr)
	before := int(heap())
	silent.ok("SELECT INBOX")
	busy.ok("SELECT INBOX")
	for round := range 30 {
		busy.ok(`STORE 1:* +FLAGS.SILENT (\Flagged)`)
		busy.ok(`STORE 1:* -FLAGS.SILENT (\Flagged)`)
		busy.ok(fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Deleted k%d)`, 1+round, round))
		busy.ok("COPY 1 INBOX")
		busy.ok("EXPUNGE")
	}
	used := int(heap()) - before
	require.Less(t, used, 2*n*perMessage, "two states of the mailbox")
	silent.ok("NOOP")
	require.Equal(t, busy.ok("UID SEARCH ALL"), silent.ok("UID SEARCH ALL"))

}

func TestMailboxesThatNobodyHasSelectedStayInMemoryWithinABound(t *testing.T) {
	ctx := context.Background()
	s, addr := newServer(t, func(s *Server) { s.Limits.Views = 3*(&snapshot{count: 1, refs: make([]ref, 1)}).octets() + 100 })
	for i := range 5 {
		deliverTo(t, s.Store, "alice", fmt.Sprint("Box", i), plainMessage)
	}
	account, err := s.Store.Account(ctx, "alice")
	require.NoError(t, err)
	held := func() (names []string) {
		s.boards.mu.Lock()
		defer s.boards.mu.Unlock()
		for i := range 5 {
			name := fmt.Sprint("Box", i)
			if box, err := account.Mailbox(ctx, name); err == nil && s.boards.of[box.ID()] != nil {
				names = append(names, name)
			}
		}
		return names
	}
	c := login(t, addr)
	for i := range 5 {
		c.ok(fmt.Sprint("SELECT Box", i))
	}
	require.Equal(t, []string{"Box1", "Box2", "Box3", "Box4"}, held(), "one is selected, three are kept")
	c.ok("SELECT Box1")
	c.ok("SELECT Box0")
	require.Equal(t, []string{"Box0", "Box1", "Box3", "Box4"}, held(), "that which was not used for the longest time went")
	deliverTo(t, s.Store, "alice", "Box4", plainMessage)
	require.Contains(t, c.ok("EXAMINE Box4"), "* 2 EXISTS\r\n", "what changed meanwhile is seen")
	c.ok("UNSELECT")
	c.ok("DELETE Box4")
	require.NotContains(t, held(), "Box4")
	require.Len(t, held(), 2)
}

func TestNothingIsKeptOfMailboxesThatNobodyHasSelectedIfThatIsAsked(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Limits.Views = -1 })
	c := login(t, addr)
	for range 2 {
		c.ok("SELECT INBOX")
		c.ok("UNSELECT")
		s.boards.mu.Lock()
		require.Empty(t, s.boards.of)
		s.boards.mu.Unlock()
	}
}
