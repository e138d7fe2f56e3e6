package imap

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// The tests TestFaultI1 to TestFaultI28 are about faults that the server of
// another library has, each by the number that we gave it.

func TestFaultI1RefusedLiteralsNeverRunAsCommands(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.AppendSize = 5000 })
	c := login(t, addr)
	evil := strings.Repeat("x", 5000) + "\r\nevil CREATE smuggled\r\n"
	for _, text := range []string{"CREATE ", "APPEND INBOX ", "UNKNOWN ", "CREATE ( ", "APPEND missing ", "FETCH 1 BODY[HEADER.FIELDS (", "SELECT "} {
		_, answer := c.cmd(fmt.Sprintf("%s{%d+}\r\n%s", text, len(evil), evil))
		require.NotContains(t, answer, "OK", text)
		require.NotContains(t, c.ok("LIST \"\" *"), "smuggled", text)
	}
}

func TestFaultI2TailOfALongLineIsNoCommand(t *testing.T) {
	s, addr := newServer(t, nil)
	c := login(t, addr)
	c.send("a NOOP " + strings.Repeat("x", 70_000) + " evil CREATE smuggled\r\nb CREATE smuggled\r\n")
	c.expectClosed()
	account, err := s.Store.Account(t.Context(), "alice")
	require.NoError(t, err)
	_, err = account.Mailbox(t.Context(), "smuggled")
	require.Error(t, err)
}

func TestFaultI3RefusedSynchronizingLiteralIsAnswered(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.fails("UNKNOWN {10}", "BAD ")
	c.send("b SUBSCRIBE x {10}\r\n")
	require.Contains(t, c.line(), "+ ")
	c.send("0123456789\r\n")
	_, answer := c.until("b")
	require.Contains(t, answer, "BAD")
	c.ok("NOOP")
	c.send("a CREATE {999999}\r\n")
	_, answer = c.until("a")
	require.Contains(t, answer, "BAD [TOOBIG]")
	c.expectClosed()
}

func TestFaultI4GarbageAfterAnAppendIsAnsweredAndNothingStored(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.fails("APPEND INBOX {7+}\r\nA: b\r\n\r garbage", "BAD ")
	c.fails("APPEND INBOX {6+}\r\nA: b\r\n (\\Seen) \"no date\" {1+}\r\nx", "BAD ")
	require.Contains(t, c.ok("STATUS INBOX (MESSAGES)"), "MESSAGES 0")
}

func TestFaultI5EmptyLineAndBadTagAreAnswered(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	for _, line := range []string{"", " ", "+ NOOP", "( NOOP", "{5} NOOP", "a"} {
		c.send(line + "\r\n")
		require.Contains(t, c.line(), "BAD", "%q", line)
	}
	c.ok("NOOP")
}

func TestFaultI6SilentClientOfTheTLSPortIsLetGo(t *testing.T) {
	s := quietServer(memory.New())
	s.Timeouts.Handshake = 50 * time.Millisecond
	conn, err := net.Dial("tcp", startTLSListener(t, s, testcert.Server()))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = io.ReadAll(conn)
	require.NoError(t, err, "the server closes the connection")
	require.Eventually(t, func() bool { return s.Sessions() == 0 }, 20*time.Second, time.Millisecond)
}

func TestFaultI16ErrorTextsInjectNoResponses(t *testing.T) {
	server, peer := net.Pipe()
	defer peer.Close()
	n := quietServer(memory.New()).gate().newSession(wire.New(server, wire.Timeouts{}))
	n.out.reset()
	err := &imap.Error{Type: imap.StatusResponseTypeNo, Code: "X]\r\na OK", Text: "no\r\na OK Logged in"}
	require.NoError(t, n.finish(context.Background(), opening{tag: "a", name: "LOGIN"}, result{}, err))
	require.Equal(t, 1, strings.Count(string(n.out.b), "\r\n"))
	require.NotContains(t, string(n.out.b), "\na OK")
}

func TestFaultI17EmptyChallengeIsPlusAndSpace(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("a AUTHENTICATE PLAIN\r\n")
	require.Equal(t, "+ ", c.line())
	c.send("*\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "BAD")
}

func TestFaultI18LongSASLResponseKeepsTheSessionInStep(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	c.send("a AUTHENTICATE PLAIN\r\n")
	require.Equal(t, "+ ", c.line())
	c.send(strings.Repeat("QUJD", 1500) + "\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "NO")
	c.ok("LOGIN alice secret")
}

func TestFaultI19WrongPasswordsAreCountedAndSlowedDown(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.AuthFailures, s.Timeouts.AuthDelay = 3, 20*time.Millisecond })
	c := dial(t, addr)
	began := time.Now()
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]")
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]")
	require.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond, "20 and 40 ms")
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED]")
	c.expectClosed()
}

func TestFaultI20SessionEndsInsideAuthenticate(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.AuthFailures = 1 })
	c := dial(t, addr)
	c.send("a AUTHENTICATE PLAIN AGFsaWNlAHdyb25n\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "NO [AUTHENTICATIONFAILED]")
	c.expectClosed()
}

func TestFaultI28BadDateOfAnAppendKeepsTheSessionInStep(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	evil := "evil CREATE smuggled\r\n"
	for _, date := range []string{"32-Jan-2026 00:00:00 +0000", "not a date", "", "01-Jan-2026"} {
		c.fails(fmt.Sprintf("APPEND INBOX %q {%d+}\r\n%s", date, len(evil), evil), "BAD ")
		require.NotContains(t, c.ok("LIST \"\" *"), "smuggled")
	}
	require.Contains(t, c.ok("STATUS INBOX (MESSAGES)"), "MESSAGES 0")
}
