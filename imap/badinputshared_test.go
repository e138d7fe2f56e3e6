package imap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage/memory"
)

// Rows of bad input that stand elsewhere: I20 and I21 in idle_test.go, I25 in
// hidden_test.go and metadata_test.go, I30 in compress_test.go. I22, forged
// tokens of hibernated sessions, has no test because there is nothing to forge:
// no session is ever put away and resumed, so none has a token.

// TestI26OwnRightsAndNegativeOnes proves what RFC 4314 leaves to servers: an
// administrator may give up his right, an owner can't lose his, and negative
// rights take away what others give.
func TestI26OwnRightsAndNegativeOnes(t *testing.T) {
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "Box", "alice", "lrswa")
	a, b := login(t, addr), dial(t, addr)
	b.ok("LOGIN bob hunter2")

	for _, command := range []string{"SETACL Box bob -a", "SETACL Box bob lr", `SETACL Box bob ""`, "SETACL Box -bob a", "DELETEACL Box bob"} {
		b.fails(command, "NO [CANNOT]")
	}
	require.Contains(t, b.ok("MYRIGHTS Box"), "lrswipkxtea")

	a.ok(`SETACL "Other Users/bob/Box" -anyone w`)
	require.Equal(t, "* MYRIGHTS \"Other Users/bob/Box\" lrsa\r\n", a.ok(`MYRIGHTS "Other Users/bob/Box"`), "negative rights count for those who have the right by another entry")
	a.ok(`SETACL "Other Users/bob/Box" -alice +s`)
	require.Equal(t, "* MYRIGHTS \"Other Users/bob/Box\" lra\r\n", a.ok(`MYRIGHTS "Other Users/bob/Box"`))
	a.ok(`DELETEACL "Other Users/bob/Box" -alice`)
	a.ok(`SETACL "Other Users/bob/Box" alice -a`)
	a.fails(`SETACL "Other Users/bob/Box" alice +a`, "NO [NOPERM]")
	a.fails(`GETACL "Other Users/bob/Box"`, "NO [NOPERM]")
	b.ok("SETACL Box alice +a")
	a.ok(`GETACL "Other Users/bob/Box"`)
}

// TestI26RightsAndIdentifiersThatAreNone is for what can't stand in a list.
func TestI26RightsAndIdentifiersThatAreNone(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { sharing(s); s.Limits.BadAfter = 100 })
	c := login(t, addr)
	for _, command := range []string{
		"SETACL INBOX bob z", "SETACL INBOX bob lrZ", "SETACL INBOX bob +-l", "SETACL INBOX bob", `SETACL INBOX "" lr`, "SETACL INBOX - lr", "SETACL INBOX bob \"l r\"",
		"SETACL INBOX bob l r", `DELETEACL INBOX ""`, "DELETEACL INBOX", "LISTRIGHTS INBOX", "LISTRIGHTS INBOX -", "SETACL INBOX {3+}\r\na\x00b lr", "SETACL INBOX \"a\x01\" lr", "SETACL INBOX \"\xff\" lr",
	} {
		c.fails(command, "BAD ")
	}
	for _, command := range []string{"SETACL INBOX {65536+}\r\n%s lr", "DELETEACL INBOX {65536+}\r\n%s", "LISTRIGHTS INBOX {65536+}\r\n%s"} {
		c.fails(strings.Replace(command, "%s", strings.Repeat("x", 64<<10), 1), "NO [LIMIT]")
	}
	require.Equal(t, "* ACL INBOX alice lrswipkxteacd\r\n", c.ok("GETACL INBOX"))
}

// TestI27Resync gives QRESYNC what no client can have been told.
func TestI27Resync(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Limits.BadAfter = 100; s.Limits.Line = 1 << 20; s.Limits.Command = 1 << 20 })
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	validity := validityOfInbox(t, s.Store)
	c := login(t, addr)
	c.fails("SELECT INBOX (QRESYNC ("+validity+" 1))", "BAD ")
	c.ok("ENABLE QRESYNC")

	told := c.ok("SELECT INBOX (QRESYNC (7 1 1:3))")
	require.Contains(t, told, "* 3 EXISTS")
	require.NotContains(t, told, "VANISHED", "a wrong UIDVALIDITY: what the client has is of another mailbox")
	require.NotContains(t, told, "FETCH")

	for _, set := range []string{
		"1:4294967295", "3,1,2", "4294967295,1", "3:1", "1" + strings.Repeat(",1", 99_999), "1:3 (3,1 1,3)", "1:3 (1:4294967295 1:4294967295)", "1:3 (1 4294967295)",
	} {
		_, answer := c.cmd("SELECT INBOX (QRESYNC (" + validity + " 1 " + set + "))")
		require.Regexp(t, "^(OK|BAD) ", answer, "%.50s", set)
	}
	for _, modSeq := range []string{"9223372036854775807", "1"} {
		require.Contains(t, c.ok("SELECT INBOX (QRESYNC ("+validity+" "+modSeq+"))"), "* 3 EXISTS")
	}
	for _, arguments := range []string{
		"", "()", validity, "(" + validity + ")", "(0 1)", "(" + validity + " 0)", "(" + validity + " x)", "(4294967296 1)", "(" + validity + " 9223372036854775808)", "(" + validity + " 1 0)",
		"(" + validity + " 1 1:*)", "(" + validity + " 1 $)", "(" + validity + " 1 1 ())", "(" + validity + " 1 1 (1))", "(" + validity + " 1 1 (1 *))", "(" + validity + " 1 1 (1:2 1))", "(" + validity + " 1 1 (1 1)",
		"(" + validity + " 1" + strings.Repeat(",1", 100_001) + ")",
	} {
		c.fails("SELECT INBOX (QRESYNC "+arguments+")", "BAD ")
	}
	c.ok("NOOP")
}

// TestSubtreesAreFoundInOneListing has a client name many subtrees: how often
// the store is asked does not grow with their number.
func TestSubtreesAreFoundInOneListing(t *testing.T) {
	store := &counted{Store: memory.New()}
	_, addr := newServer(t, func(s *Server) { s.Store = store })
	deliver(t, store, plainMessage)
	c := login(t, addr)
	c.ok("CREATE a/b")
	listed := func(command string) (n int) {
		store.take()
		c.ok(command)
		for _, what := range store.take() {
			if what == "Mailboxes" {
				n++
			}
		}
		return n
	}
	one := listed("ESEARCH IN (subtree a) ALL")
	require.Equal(t, one, listed("ESEARCH IN (subtree (a"+strings.Repeat(" a", 400)+") subtree-one (b c d"+strings.Repeat(" a", 400)+")) ALL"))
	c.fails("ESEARCH IN (subtree (a"+strings.Repeat(" a", 499)+") subtree (a"+strings.Repeat(" a", 500)+")) ALL", "BAD ")
}
