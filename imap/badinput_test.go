package imap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/storage"
)

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestI01LiteralsOfOneCommandHaveATotalCap(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.send("a SEARCH BODY {1048576}\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "BAD [TOOBIG]")
	c.expectClosed()

	c = login(t, addr)
	c.ok("SELECT INBOX")
	go io.WriteString(c.conn, "a SEARCH"+strings.Repeat(" BODY {1000+}\r\n"+strings.Repeat("x", 1000), 1000)+"\r\n")
	_, answer = c.until("a")
	require.Contains(t, answer, "BAD [TOOBIG]")
	c.expectClosed()

	c = login(t, addr)
	c.ok("SELECT INBOX")
	go io.WriteString(c.conn, "a SEARCH"+strings.Repeat(" BODY {1+}\r\nx", 2000)+"\r\n")
	_, answer = c.until("a")
	require.Contains(t, answer, "BAD [TOOBIG]", "the number of literals has a cap too")
	c.expectClosed()
}

func TestI02HugeLiteralBeforeLoginIsRefusedBeforeAllocation(t *testing.T) {
	_, addr := newServer(t, nil)
	for _, size := range []string{"4294967295", "99999999999999999999", "4294967295+", "99999999999999999999+"} {
		c := dial(t, addr)
		before := heap()
		c.send("a LOGIN {" + size + "}\r\n")
		_, answer := c.until("a")
		require.Contains(t, answer, "BAD [TOOBIG]", size)
		c.expectClosed()
		require.Less(t, int64(heap())-int64(before), int64(8<<20))
	}
}

func TestI03RefusedLiteralOctetsNeverRun(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	evil := "evil CREATE smuggled\r\n"
	lit := fmt.Sprintf("{%d+}\r\n%s", len(evil), evil)
	for _, text := range []string{
		"UNKNOWN " + lit,
		"FETCH 1 " + lit, // not in this state
		"APPEND nowhere " + lit,
		`APPEND INBOX "no date" ` + lit,
		"APPEND INBOX (\\Seen " + lit,
		"CREATE " + lit,
		"SEARCH " + lit,
		"NOOP " + lit,
		`CREATE "unfinished ` + lit,
		"APPEND INBOX {2+}\r\nab{3+}\r\nabc " + lit,
	} {
		c.tags++
		tag := fmt.Sprintf("t%d", c.tags)
		c.send(tag + " " + text + "\r\n")
		untagged, answer := c.until(tag)
		require.NotContains(t, untagged+answer, "evil", text)
		require.NotContains(t, answer, "OK ", text)
		require.NotContains(t, c.ok(`LIST "" smug*`), "smuggled", text)
	}
	c.send("]bad {" + fmt.Sprint(len(evil)) + "+}\r\n" + evil + "\r\n")
	require.Equal(t, "* BAD Invalid tag", c.line())
	require.NotContains(t, c.ok(`LIST "" smug*`), "smuggled")
}

func TestI03SynchronizingLiteralIsRefusedWithoutContinuation(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	for _, text := range []string{"UNKNOWN {10}", "FETCH 1 {10}", "NOOP {10}x"} {
		c.fails(text, "BAD ")
	}
	c.ok("NOOP")
}

func TestI04HugeAppendIsRefusedBeforeItIsSent(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	untagged := c.fails("APPEND INBOX {2147483647}", "NO [TOOBIG]")
	require.Empty(t, untagged)
	c.ok("NOOP")
	c.fails("APPEND INBOX {2147483647+}", "BAD [TOOBIG]")
	c.expectClosed()
}

func TestI04AppendThatStopsInTheMiddleStoresNothing(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Timeouts.Read = 50 * time.Millisecond })
	c := login(t, addr)
	c.send("a APPEND INBOX {1000}\r\n")
	require.Equal(t, "+ Ready for literal", c.line())
	c.send("half")
	c.expectClosed()
	require.Contains(t, login(t, addrOf(t, s)).ok("STATUS INBOX (MESSAGES)"), "MESSAGES 0")
	_ = addr
}

func addrOf(t *testing.T, s *Server) string {
	return start(t, quietServer(s.Store))
}

func TestI05EmptyLineIsAnswered(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("\r\n")
	require.Equal(t, "* BAD Invalid tag", c.line())
	c.ok("NOOP")
}

func TestI06Tags(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.BadBefore = 100 })
	c := dial(t, addr)
	for _, line := range []string{"+ NOOP", " NOOP", "a]b NOOP", "a(b NOOP", `"a" NOOP`, "a\x00 NOOP", "a\x80 NOOP", "a* NOOP", strings.Repeat("a", 200) + " NOOP"} {
		c.send(line + "\r\n")
		require.Equal(t, "* BAD Invalid tag", c.line(), "%q", line)
	}
	c.send("a\r\n")
	require.Equal(t, "a BAD Missing or invalid command name", c.line())
	go io.WriteString(c.conn, strings.Repeat("a", 1<<20)+" NOOP\r\n")
	require.Contains(t, c.line(), "* BAD Line too long")
	c.expectClosed()
}

func TestI07LineTooLong(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.send("a NOOP " + strings.Repeat("x", 64<<10-20) + "\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "BAD Unexpected text", "within the limit it is only a bad command")
	c.send("b NOOP " + strings.Repeat("x", 64<<10) + "\r\nevil CREATE smuggled\r\n")
	require.Contains(t, c.line(), "BAD Line too long")
	require.NotContains(t, c.expectClosed(), "evil")
}

func TestBareLineFeedEndsTheSession(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("a NOOP\nb NOOP\r\n")
	require.Contains(t, c.line(), "BAD Lines must end with CR LF")
	c.expectClosed()
}

func TestI08SequenceSets(t *testing.T) {
	s, addr := newServer(t, nil)
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	c := login(t, addr)
	c.ok("SELECT INBOX")
	all := "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n"
	for _, set := range []string{"1:*", "*:1", "3:1", "1,2,3", "3,2,1,2,3", "1" + strings.Repeat(",1", 20000) + ",2:3"} {
		require.Equal(t, all, c.ok("FETCH "+set+" UID"))
		require.Equal(t, all, c.ok("UID FETCH "+set+" UID"))
	}
	require.Equal(t, "* 3 FETCH (UID 3)\r\n", c.ok("UID FETCH 4294967295:* UID"), "* is the last whatever stands before it")
	require.Empty(t, c.ok("UID FETCH 4294967295:5 UID"))
	for _, set := range []string{"0", "1:0", "1:4294967296", "", "1,", ",1", "1:", ":1", "1::2", "a", "-1", "1 2", "4294967295:1"} {
		c.fails("FETCH "+set+" UID", "BAD ")
	}
	p := &parser{buf: []byte("1" + strings.Repeat(",1", 99_999))}
	set := p.numSet()
	require.NoError(t, p.end())
	require.Len(t, set.resolve(10), 1)
}

func TestI09UIDFetchOfEverythingInAnEmptyMailbox(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	for _, command := range []string{"UID FETCH 1:4294967295 BODY[]", "UID STORE 1:* +FLAGS (x)", "UID COPY 1:* Sent", "UID MOVE * Sent", "UID SEARCH UID 1:*", "UID EXPUNGE 1:*", "EXPUNGE", "SEARCH 1:*"} {
		c.ok(command)
	}
	c.fails("FETCH 1:* FLAGS", "BAD ")
}

func TestI11MailboxNames(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	names := []string{
		"../other", "/etc/x", "INBOX/../..", "a//b", "CON", "con.txt", "a/AUX/b", "LPT1", "trailing.", "a./b", "/", ".", "..", "a/.",
		strings.Repeat("n", 1000), strings.Repeat("a/", 10_000) + "a", "star*", "per%cent", "&Jjo!", "&AAE-", "&ZeVnLIqe", "a&b", "\xe9", "tab\there", " edge", "edge ",
	}
	for _, n := range names {
		for _, command := range []string{"CREATE", "RENAME Sent", "SELECT", "DELETE", "SUBSCRIBE"} {
			if command == "SUBSCRIBE" && storable(n) {
				continue
			}
			c.fails(command+` "`+n+`"`, "NO [")
		}
	}
	require.Len(t, strings.Split(c.ok(`LIST "" *`), "\r\n"), 6)
}

// storable reports whether the store would take a name that CREATE refuses.
func storable(name string) bool {
	_, err := storage.CleanName(name)
	return err == nil
}

func TestI13RenameDeleteCreate(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("CREATE a/b")
	c.fails("RENAME a a/b/c", "NO [")
	c.fails("RENAME a Sent", "NO [ALREADYEXISTS]")
	c.fails("RENAME nothing b", "NO [NONEXISTENT]")
	c.fails("DELETE a", "NO [HASCHILDREN]")
	c.fails("CREATE a/b", "NO [ALREADYEXISTS]")
	c.ok("RENAME inbox Moved")
	require.Contains(t, c.ok("STATUS Moved (MESSAGES)"), "MESSAGES 1")
	require.Contains(t, c.ok("STATUS INBOX (MESSAGES)"), "MESSAGES 0")
	c.ok("SELECT a/b")
	c.ok("RENAME a z")
	c.ok("DELETE z/b")
	c.fails("FETCH 1 FLAGS", "BAD ")
	c.ok("NOOP")
}

func TestI14StartTLSWithPipelinedCommand(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("a STARTTLS\r\nb LOGIN alice secret\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "BAD ")
	require.NotContains(t, c.expectClosed(), "Logged in")
}

func TestI15LoginStrings(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.BadBefore = 100 })
	c := dial(t, addr)
	c.send("a LOGIN \"al\r\n")
	require.Contains(t, c.line(), "a BAD ")
	c.send("ice\" secret\r\n")
	require.Contains(t, c.line(), "* BAD Invalid tag", "what follows is no command")
	c.fails("LOGIN \"al\rice\" secret", "BAD ")
	c.fails("LOGIN {6+}\r\nali\x00ce secret", "BAD ")
	c.fails("LOGIN \"ali\x00ce\" secret", "BAD ")
	c.fails(`LOGIN "ali\ce" secret`, "BAD ")
	c.fails(`LOGIN alice`, "BAD ")
	c.fails(`LOGIN alice sec ret`, "BAD ")
	c.ok("LOGIN \"gr\u00fc\u00dfe\" \"p\u00e4\\\"ss\\\\wort\"")
}

func TestI16BrokenAuthenticateLeavesOtherLoginsAlone(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("a AUTHENTICATE PLAIN\r\n")
	require.Equal(t, "+ ", c.line())
	c.conn.Close() // in the middle

	c = dial(t, addr)
	c.send("a AUTHENTICATE PLAIN\r\n")
	require.Equal(t, "+ ", c.line())
	go io.WriteString(c.conn, strings.Repeat("A", 1<<20)+"\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "BAD Line too long")
	c.expectClosed()
	login(t, addr).ok("NOOP")
}

func TestI17TooManyBadCommands(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	for range 9 {
		c.fails("NONSENSE", "BAD ")
	}
	c.fails("NONSENSE", "BAD ")
	require.Contains(t, c.expectClosed(), "Too many bad commands")
	c = login(t, addr)
	for range 19 {
		c.fails("NONSENSE", "BAD ")
	}
	c.ok("NOOP") // starts over
	for range 20 {
		c.fails("NONSENSE", "BAD ")
	}
	c.expectClosed()
}

func TestFailedLoginsAreLoggedInTheirFixedForm(t *testing.T) {
	var log bytes.Buffer
	s, addr := newServer(t, func(s *Server) { s.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	c := dial(t, addr)
	c.fails(`LOGIN "ali\"ce x=y" wrong`, "NO [AUTHENTICATIONFAILED]")
	c.fails("AUTHENTICATE PLAIN AGFsaWNlAHdyb25n", "NO [AUTHENTICATIONFAILED]")
	c.ok("LOGOUT")
	require.NoError(t, s.Shutdown(context.Background()))
	require.Regexp(t, `msg="authentication failed" service=imap remote=127.0.0.1 user="ali\\"ce x=y" session=\w+ reason=`, log.String())
	require.Regexp(t, `msg="authentication failed" service=imap remote=127.0.0.1 user=alice session=\w+ reason=`, log.String())
	require.NotContains(t, log.String(), "wrong")
}

func TestFailuresOfTheDirectoryAreNobodysFault(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	for range 10 {
		c.fails("LOGIN broken x", "NO [UNAVAILABLE]")
	}
	c.ok("LOGIN alice secret")
}

func TestFailedLoginsEndTheSession(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	for range 5 {
		c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]")
	}
	require.Contains(t, c.expectClosed(), "Too many failed logins")
}

func TestHTTPRequestsAreTurnedAway(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN alice secret\r\n")
	require.NotContains(t, c.expectClosed(), "Logged in")
}

func TestI18Sections(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	deliver(t, s.Store, "Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nthis is !!! no base64\r\n")
	deliver(t, s.Store, "Content-Type: application/x\r\nContent-Transfer-Encoding: x-own\r\n\r\nabc\r\n")
	c := login(t, addr)
	c.ok("SELECT INBOX")
	deep := "1" + strings.Repeat(".1", 999)
	require.Contains(t, c.ok("FETCH 1 BODY.PEEK["+deep+"]"), "BODY["+deep+"] NIL)")
	c.fails("FETCH 1 BODY[1"+strings.Repeat(".1", 2000)+"]", "BAD ")
	c.fails("FETCH 1 BODY[HEADER.FIELDS (x"+strings.Repeat(" y", 10_000)+")]", "BAD ")
	for _, partial := range []string{"4294967295.1", "9223372036854775807.9223372036854775807", "1000.9223372036854775807"} {
		origin, _, _ := strings.Cut(partial, ".")
		require.Contains(t, c.ok("FETCH 1 BODY.PEEK[]<"+partial+">"), "BODY[]<"+origin+"> {0}\r\n)")
	}
	require.Contains(t, c.ok("FETCH 1 BODY.PEEK[]<1.9223372036854775807>"), "BODY[]<1> {153}\r\nrom: ")
	c.fails("FETCH 1 BODY[]<9223372036854775808.1>", "BAD ")
	c.fails("FETCH 1 BODY[]<0.0>", "BAD ")
	for _, section := range []string{"0", "1.", ".1", "1..2", "MIME", "TEXT.1", "HEADER.FIELDS", "HEADER.FIELDS ()", "1.NONSENSE", "-1", "99999999999", "1.0"} {
		c.fails("FETCH 1 BODY["+section+"]", "BAD ")
	}
	c.fails("FETCH 2 BINARY.PEEK[1]", "NO [UNKNOWN-CTE]")
	c.fails("FETCH 3 BINARY.PEEK[1]", "NO [UNKNOWN-CTE]")
	c.fails("FETCH 2 BINARY.SIZE[1]", "NO [UNKNOWN-CTE]")
	require.Contains(t, c.ok("FETCH 2 BODY.PEEK[1]"), "this is !!! no base64\r\n)", "BODY serves what is there")
}

func TestI23Searches(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Limits.Line = 1 << 20; s.Limits.Command = 1 << 20 })
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.fails("SEARCH CHARSET KLINGON TEXT x", "NO [BADCHARSET (US-ASCII UTF-8)]")
	c.fails("SEARCH CHARSET UTF-8 TEXT \"\xff\xfe\"", "BAD ")
	c.fails("SEARCH "+strings.Repeat("OR ALL ", 10_000)+"ALL", "BAD ")
	c.fails("SEARCH "+strings.Repeat("NOT ", 10_000)+"ALL", "BAD ")
	c.fails("SEARCH "+strings.Repeat("(", 10_000)+"ALL"+strings.Repeat(")", 10_000), "BAD ")
	c.fails("SEARCH ALL"+strings.Repeat(" ALL", 10_000), "BAD ")
	c.ok("SEARCH TEXT " + strings.Repeat("x", 1<<20-100))
	c.ok("SEARCH OR OR OR SUBJECT a FROM b TO c (TEXT d)")
	c.fails("SEARCH {1048577+}\r\n", "BAD [TOOBIG]")
	c.expectClosed()
}

func TestI29CopyAndMove(t *testing.T) {
	s, addr := newServer(t, nil)
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Equal(t, "* 6 EXISTS\r\n* 6 RECENT\r\n", c.ok("COPY 1:3 INBOX"), "into itself")
	require.Contains(t, c.ok("MOVE 1 INBOX"), "* 1 EXPUNGE\r\n* 6 EXISTS\r\n")
	c.fails("COPY 1 Nowhere", "NO [TRYCREATE]")
	c.fails("MOVE 1 Nowhere", "NO [TRYCREATE]")
	c.fails(`COPY 1 "bad//name"`, "NO [TRYCREATE]")
	require.Contains(t, c.ok("STATUS INBOX (MESSAGES)"), "MESSAGES 6", "nothing moved")
}

func TestI31ReaderThatNeverReads(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Timeouts.Write = 300 * time.Millisecond })
	deliver(t, s.Store, "Subject: big\r\n\r\n"+strings.Repeat("0123456789\r\n", 100_000))
	c := login(t, addr)
	c.ok("SELECT INBOX")
	before := heap()
	go io.WriteString(c.conn, strings.Repeat("x FETCH 1 BODY.PEEK[]\r\n", 500))
	other := login(t, addr)
	other.ok("SELECT INBOX")
	for range 100 {
		other.ok("NOOP")
	}
	require.Less(t, int64(heap())-int64(before), int64(16<<20))
	require.Eventually(t, func() bool { return s.Sessions() == 1 }, 20*time.Second, 10*time.Millisecond,
		"the writer gives up after its deadline")
}

func TestI32EndsInTheMiddle(t *testing.T) {
	s, addr := newServer(t, nil)
	c := login(t, addr)
	type halfCloser interface{ CloseWrite() error }
	c.send("a CREATE Done\r\n")
	require.NoError(t, c.conn.(halfCloser).CloseWrite())
	_, answer := c.until("a")
	require.Contains(t, answer, "CREATE completed", "work of a client that has finished sending is done")

	c = login(t, addr)
	c.send("a APPEND Done {1000+}\r\nhalf")
	c.conn.Close()
	require.Eventually(t, func() bool { return s.Sessions() == 0 }, 10*time.Second, 5*time.Millisecond)
	require.Contains(t, login(t, addr).ok("STATUS Done (MESSAGES)"), "MESSAGES 0")
}

func TestSilentClientOfAnUnfinishedHandshakeIsDropped(t *testing.T) {
	s := &Server{Timeouts: Timeouts{Handshake: 50 * time.Millisecond}}
	addr := startTLSListener(t, s, testcert.Server())
	c, err := dialRaw(addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
}
