package imap

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// both returns sessions of alice, with rights on the mailbox Box of bob, and of
// bob, which both have it selected. It holds two messages.
func both(t *testing.T, rights string) (a, b *client, s *Server) {
	t.Helper()
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "Box", "alice", rights)
	for range 2 {
		deliverTo(t, s.Store, "bob", "Box", plainMessage)
	}
	a, b = login(t, addr), dial(t, addr)
	b.ok("LOGIN bob hunter2")
	a.ok(`SELECT "Other Users/bob/Box"`)
	b.ok("SELECT Box")
	return a, b, s
}

func TestSessionsOfTwoUsersTellEachOther(t *testing.T) {
	a, b, s := both(t, "lrswite")
	a.ok(`STORE 1 +FLAGS (\Seen)`)
	require.Contains(t, b.ok("NOOP"), `* 1 FETCH (UID 1 FLAGS (\Seen`)
	b.ok(`STORE 2 +FLAGS (\Deleted)`)
	require.Contains(t, a.ok("NOOP"), `* 2 FETCH (UID 2 FLAGS (\Deleted`)
	a.ok("EXPUNGE")
	require.Contains(t, b.ok("NOOP"), "* 2 EXPUNGE")
	a.send("i IDLE\r\n")
	require.Equal(t, "+ idling", a.line())
	deliverTo(t, s.Store, "bob", "Box", plainMessage)
	require.Equal(t, "* 2 EXISTS", a.line())
	a.send("DONE\r\n")
	a.until("i")
	a.ok("UNSELECT")
	b.ok(`STORE 1 -FLAGS (\Seen)`)
	require.Empty(t, a.ok("NOOP"))
}

func TestRightsThatAreTakenAwayCountAtTheNextCommand(t *testing.T) {
	a, b, _ := both(t, "lrswite")
	require.Empty(t, a.ok("NOOP"), "what has not changed is not told")
	b.ok("SETACL Box alice -we")
	told := a.ok("NOOP")
	require.Equal(t, "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted)] Flags permitted\r\n", told)
	a.fails(`STORE 1 +FLAGS (\Flagged)`, "NO [NOPERM]")
	a.ok(`STORE 1 +FLAGS (\Deleted)`)
	a.fails("EXPUNGE", "NO [NOPERM]")
	b.ok("SETACL Box alice lr")
	told = a.fails(`STORE 1 -FLAGS (\Deleted)`, "NO [NOPERM]")
	require.Contains(t, told, "* OK [READ-ONLY] Rights have changed\r\n")
	b.ok("SETACL Box alice lrste")
	require.Contains(t, a.ok("NOOP"), "* OK [READ-WRITE] Rights have changed\r\n")
	b.ok("SETACL Box alice lrst")
	a.ok("CLOSE")
	require.Contains(t, b.ok("STATUS Box (MESSAGES DELETED)"), "(MESSAGES 2 DELETED 1)", "CLOSE expunges nothing without the right")
	a.ok(`SELECT "Other Users/bob/Box"`)
	b.ok("SETACL Box alice lst")
	a.send("x FETCH 1 BODY[]\r\n")
	require.NotContains(t, a.expectClosed(), "FETCH (")
}

func TestLostRightsEndIdle(t *testing.T) {
	a, b, _ := both(t, "lr")
	a.send("i IDLE\r\n")
	require.Equal(t, "+ idling", a.line())
	b.ok("DELETEACL Box alice")
	require.Contains(t, a.expectClosed(), "mailbox was deleted")
}

func TestSharedMailboxStaysSelectedWhenItsOwnerRenamesIt(t *testing.T) {
	a, b, _ := both(t, "lrs")
	b.ok("RENAME Box Other/Crate")
	b.ok("CREATE Box")
	require.Empty(t, a.ok("NOOP"))
	a.ok(`STORE 1 +FLAGS (\Seen)`)
	b.ok("SETACL Other/Crate alice lr")
	a.fails(`STORE 1 -FLAGS (\Seen)`, "NO [NOPERM]")
	b.ok("SETACL Box alice lr")
	require.Contains(t, a.ok("FETCH 1 FLAGS"), `\Seen`)
}

func TestNamesOfOneSharedMailboxAreOne(t *testing.T) {
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "INBOX/sub", "alice", "lrx")
	a := login(t, addr)
	a.ok(`SELECT "Other Users/bob/inbox/sub"`)
	a.ok(`SUBSCRIBE "Other Users/bob/Inbox/sub"`)
	require.Contains(t, a.ok(`LSUB "" "Other*"`), `"Other Users/bob/INBOX/sub"`)
	a.ok(`DELETE "Other Users/bob/iNBOX/sub"`)
	a.fails("FETCH 1 FLAGS", "BAD Command not allowed in this state")
	a.ok(`UNSUBSCRIBE "Other Users/bob/inbox/sub"`)
	require.Empty(t, a.ok(`LSUB "" "Other*"`))
}

// TestCopiesBetweenAccountsAreWhole copies in both directions over each store.
func TestCopiesBetweenAccountsAreWhole(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) {
				sharing(s)
				s.Store = open(t)
			})
			allow(t, s.Store, "bob", "Box", "alice", "lrswite")
			texts := []string{plainMessage, mixedMessage, "", strings.Repeat("0123456789abcdef", 1<<16) + "end"}
			for _, text := range texts {
				deliver(t, s.Store, text)
			}
			a := login(t, addr)
			a.ok("SELECT INBOX")
			a.ok(`STORE 2 +FLAGS (\Flagged word)`)
			_, answer := a.cmd(`COPY 1:4 "Other Users/bob/Box"`)
			require.Regexp(t, `^OK \[COPYUID \d+ 1:4 1:4\]`, answer)
			own := a.ok("FETCH 1:4 (FLAGS INTERNALDATE BODY.PEEK[])")
			a.ok(`SELECT "Other Users/bob/Box"`)
			recent := strings.NewReplacer(` \Recent`, "", `\Recent `, "", `\Recent`, "")
			require.Equal(t, recent.Replace(own), recent.Replace(a.ok("FETCH 1:4 (FLAGS INTERNALDATE BODY.PEEK[])")))
			told, answer := a.cmd("MOVE 2,4 INBOX")
			require.Regexp(t, `^\* OK \[COPYUID \d+ 2,4 5:6\] Moved\r\n\* 4 EXPUNGE\r\n\* 2 EXPUNGE\r\n$`, told)
			require.Equal(t, "OK MOVE completed", answer)
			a.ok("SELECT INBOX")
			require.Contains(t, a.ok("FETCH 6 (RFC822.SIZE)"), fmt.Sprint(len(texts[3])))
		})
	}
}

// TestCopiesBetweenAccountsAreAllOrNone runs into bounds and into messages that
// are gone.
func TestCopiesBetweenAccountsAreAllOrNone(t *testing.T) {
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "Box", "alice", "lrswite")
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	bob, err := s.Store.Account(t.Context(), "bob")
	require.NoError(t, err)
	quotas, _ := storage.As[storage.Quotas](bob)
	require.NoError(t, quotas.SetQuota(t.Context(), &storage.Quota{Messages: 2}))
	a, other := login(t, addr), login(t, addr)
	a.ok("SELECT INBOX")
	for _, command := range []string{"COPY", "MOVE", "UID MOVE"} {
		a.fails(command+` 1:3 "Other Users/bob/Box"`, "NO [OVERQUOTA]")
	}
	require.Contains(t, a.ok(`STATUS "Other Users/bob/Box" (MESSAGES)`), "(MESSAGES 0)")
	other.ok("SELECT INBOX")
	other.ok(`STORE 2 +FLAGS (\Deleted)`)
	other.ok("EXPUNGE")
	require.NotContains(t, a.fails(`COPY 1:2 "Other Users/bob/Box"`, "NO [EXPUNGEISSUED]"), "COPYUID")
	require.Contains(t, a.ok(`STATUS "Other Users/bob/Box" (MESSAGES)`), "(MESSAGES 0)")
	_, answer := a.cmd(`UID COPY 1:* "Other Users/bob/Box"`)
	require.Regexp(t, `^OK \[COPYUID \d+ 1,3 1:2\]`, answer)
}

func TestCopyOfMoreThanCanBeCarriedIsRefused(t *testing.T) {
	store := memory.New()
	account, err := store.Account(t.Context(), "alice")
	require.NoError(t, err)
	inbox, err := account.Mailbox(t.Context(), "INBOX")
	require.NoError(t, err)
	_, err = inbox.Append(t.Context(), make([]storage.NewMessage, maxCarried+1)...)
	require.NoError(t, err)
	_, addr := newServer(t, func(s *Server) { sharing(s); s.Store = store })
	allow(t, store, "bob", "Box", "alice", "i")
	a := login(t, addr)
	a.ok("SELECT INBOX")
	a.fails(`COPY 1:* "Other Users/bob/Box"`, "NO [LIMIT]")
	a.ok(fmt.Sprintf(`COPY 1:%d "Other Users/bob/Box"`, maxCarried))
}

func TestIdentifierOf64KiBIsRefused(t *testing.T) {
	_, addr := newServer(t, sharing)
	a := login(t, addr)
	long := strings.Repeat("x", 64<<10)
	for _, command := range []string{"SETACL INBOX {65536+}\r\n%s lr", "SETACL INBOX {65537+}\r\n-%s lr", "DELETEACL INBOX {65536+}\r\n%s", "LISTRIGHTS INBOX {65536+}\r\n%s"} {
		a.fails(fmt.Sprintf(command, long), "NO [LIMIT]")
	}
	require.Equal(t, "* ACL INBOX alice lrswipkxteacd\r\n", a.ok("GETACL INBOX"))
}

func TestWithoutAccessThereIsNobodyElse(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { sharing(s); s.Access = nil })
	allow(t, s.Store, "bob", "Box", storage.Anyone, "lr")
	a := login(t, addr)
	require.Equal(t, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", a.ok("NAMESPACE"))
	a.fails(`SELECT "Other Users/bob/Box"`, "NO [NONEXISTENT]")
	a.ok(`CREATE "Other Users/bob/Box"`)
	require.Contains(t, a.ok(`LIST "" "Other*"`), `"Other Users/bob/Box"`)
	a.ok("SETACL INBOX bob lr")
}

func TestNamespacesThatCannotBeServedAreRefused(t *testing.T) {
	for _, n := range []Namespaces{{Other: "a/b"}, {Public: "INBOX"}, {Other: "x", Public: "x"}, {Other: "inbox"}, {Other: "*"}, {Public: ".."}, {Other: "e\u0301"}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := quietServer(memory.New())
		s.Namespaces = n
		require.ErrorIs(t, s.Serve(t.Context(), l), storage.ErrBadName, "%v", n)
	}
}
